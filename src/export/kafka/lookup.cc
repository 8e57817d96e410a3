#include "export/kafka/lookup.h"

#include <pthread.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace tailgate {

struct KafkaLookup::Shared {
  explicit Shared(Ask a) : ask(a) {}

  const Ask ask;
  std::mutex mutex;
  std::condition_variable change;
  bool ended = false;  // under mutex
};

namespace {

// One question, of the thread that asks and of the one that waits.
struct Answer {
  ~Answer() {
    if (found != nullptr) ::freeaddrinfo(found);
  }
  std::string node, service;
  std::optional<addrinfo> hints;
  std::optional<int> code;    // under the mutex, as what follows
  int error = 0;              // errno, of EAI_SYSTEM
  addrinfo* found = nullptr;  // freed here unless it was taken
};

}  // namespace

KafkaLookup::KafkaLookup(Ask ask) : shared_(std::make_shared<Shared>(ask)) {}

void KafkaLookup::end() {
  const std::lock_guard lock(shared_->mutex);
  shared_->ended = true;
  shared_->change.notify_all();
}

int KafkaLookup::look_up(const char* node, const char* service, const addrinfo* hints, addrinfo** found) {
  const auto answer = std::make_shared<Answer>();
  answer->node = node;
  if (service != nullptr) answer->service = service;
  if (hints != nullptr) answer->hints = *hints;
  std::unique_lock lock(shared_->mutex);
  if (shared_->ended) return EAI_AGAIN;
  try {
    std::thread thread([shared = shared_, answer] {
      addrinfo* list = nullptr;
      const int code = shared->ask(answer->node.c_str(), answer->service.empty() ? nullptr : answer->service.c_str(),
                                   answer->hints ? &*answer->hints : nullptr, &list);
      const int error = errno;
      const std::lock_guard told(shared->mutex);
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
  shared_->change.wait(lock, [&] { return answer->code || shared_->ended; });
  if (!answer->code) return EAI_AGAIN;
  *found = std::exchange(answer->found, nullptr);
  errno = answer->error;
  return *answer->code;
}

}  // namespace tailgate
