// SPDX-License-Identifier: Apache-2.0
#include "net/kafka/lookup.h"

#include <pthread.h>

#include <cerrno>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "base/mutex.h"

namespace tailgate {

struct KafkaLookup::Shared {
  explicit Shared(Ask a) : ask(a) {}

  const Ask ask;
  Mutex mutex;
  CondVar change;
  bool ended TAILGATE_GUARDED_BY(mutex) = false;
};

namespace {

// One question. The thread that asks and the thread that waits share it; KafkaLookup::Shared::mutex guards the answer
// (from `code` on), which the analysis cannot be told across two objects.
struct Answer {
  ~Answer() {
    if (found != nullptr) ::freeaddrinfo(found);
  }
  std::string node, service;
  std::optional<addrinfo> hints;
  std::optional<int> code;    // none: no answer yet
  int error = 0;              // errno, of EAI_SYSTEM
  addrinfo* found = nullptr;  // freed here unless it was taken
};

}  // namespace

KafkaLookup::KafkaLookup(Ask ask) : shared_(std::make_shared<Shared>(ask)) {}

void KafkaLookup::end() {
  const MutexLock lock(shared_->mutex);
  shared_->ended = true;
  shared_->change.notify_all();
}

int KafkaLookup::look_up(const char* node, const char* service, const addrinfo* hints, addrinfo** found) {
  const auto answer = std::make_shared<Answer>();
  answer->node = node;
  if (service != nullptr) answer->service = service;
  if (hints != nullptr) answer->hints = *hints;
  const MutexLock lock(shared_->mutex);
  if (shared_->ended) return EAI_AGAIN;
  try {
    std::thread thread([shared = shared_, answer] {
      addrinfo* list = nullptr;
      const int code = shared->ask(answer->node.c_str(), answer->service.empty() ? nullptr : answer->service.c_str(),
                                   answer->hints ? &*answer->hints : nullptr, &list);
      const int error = errno;
      const MutexLock answered(shared->mutex);
      if (code == 0) answer->found = list;
      answer->code = code;
      answer->error = error;
      shared->change.notify_all();
    });
    pthread_setname_np(thread.native_handle(), "look up");
    thread.detach();
  } catch (const std::system_error&) {
    return EAI_AGAIN;
  }
  while (!answer->code && !shared_->ended) shared_->change.wait(shared_->mutex);
  if (!answer->code) return EAI_AGAIN;
  *found = std::exchange(answer->found, nullptr);
  errno = answer->error;
  return *answer->code;
}

}  // namespace tailgate
