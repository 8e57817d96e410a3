// SPDX-License-Identifier: Apache-2.0
// The traces of query_fixture.h in a store, and questions to pages that are answered by a pool of threads.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/http/later_answer.h"
#include "store/reader.h"
#include "store/store.h"
#include "support/query_fixture.h"
#include "web/pages.h"
#include "wire/trace/trace_view.h"

namespace tailgate::test {

// What an exporter would be given of a trace.
inline KeptTracePtr kept_of(std::string otlp) {
  auto trace = std::make_shared<KeptTrace>();
  trace->otlp = std::move(otlp);
  const Result<TraceView> view = TraceView::read(trace->otlp);
  REQUIRE(view);
  trace->id = TraceId::from(view->id().data());
  trace->spans = static_cast<std::uint32_t>(view->spans().size());
  trace->errors = view->errors();
  trace->start_ns = view->start_ns();
  trace->end_ns = view->end_ns();
  trace->root_service = view->root_service();
  trace->root_name = view->root_name();
  trace->policy = "all";
  return trace;
}

class StoredFixture {
 public:
  explicit StoredFixture(bool empty = false) {
    std::filesystem::remove_all(path_);
    std::vector<std::string> notices;
    store_ = std::move(Store::open({.directory = path_}, 1, notices).value());
    if (!empty) {
      for (const std::string& otlp : fixture_traces()) add(otlp);
    }
  }
  ~StoredFixture() {
    store_.reset();
    std::filesystem::remove_all(path_);
  }
  StoredFixture(const StoredFixture&) = delete;
  StoredFixture& operator=(const StoredFixture&) = delete;

  void add(const std::string& otlp) { REQUIRE(store_->append(std::vector{kept_of(otlp)}, 1)); }
  std::shared_ptr<StoreReader> reader() const { return std::make_shared<StoreReader>(store_->source()); }

 private:
  static std::filesystem::path unique_path() {
    static int made = 0;
    return std::filesystem::temp_directory_path() /
           ("tailgate-stored-" + std::to_string(::getpid()) + '-' + std::to_string(made++));
  }

  const std::filesystem::path path_ = unique_path();
  std::unique_ptr<Store> store_;
};

struct WholeAnswer {
  int status = 0;
  std::string body, content_type;
  bool failed = false;  // it ended before it was whole
};

// All of an answer that another thread makes.
inline WholeAnswer whole_answer(LaterAnswer& later) {
  std::mutex mutex;
  std::condition_variable changed;
  bool woken = true;
  later.attach([&] {
    const std::lock_guard lock(mutex);
    woken = true;
    changed.notify_one();
  });
  WholeAnswer out;
  for (;;) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return woken; });
      woken = false;
    }
    if (std::optional<LaterAnswer::Head> head = later.take_head()) {
      out.status = head->response.status;
      out.body = head->response.body;
      for (const auto& [name, value] : head->response.headers) {
        if (name == "content-type") out.content_type = value;
      }
      if (head->whole) break;
    }
    if (out.status == 0) continue;
    char bytes[4096];
    LaterAnswer::Piece piece;
    do {
      piece = later.take(bytes, sizeof bytes);
      out.body.append(bytes, piece.size);
    } while (piece.size != 0 && piece.state == LaterAnswer::State::kMore);
    out.failed = piece.state == LaterAnswer::State::kFailed;
    if (piece.state != LaterAnswer::State::kMore) break;
  }
  later.cancel();
  return out;
}

inline WholeAnswer ask(Pages& pages, const std::string& target, const std::string& accept = "") {
  RequestHead head;
  head.method = "GET";
  head.target = target;
  if (!accept.empty()) head.headers.add("accept", accept);
  Response response;
  if (const Admission admission = pages.admit(head); admission.refusal) {
    response = *admission.refusal;
  } else {
    BodyBuffer none;
    pages.handle(head, none, response);
  }
  if (response.later != nullptr) return whole_answer(*response.later);
  return {response.status, response.body, {}, false};
}

}  // namespace tailgate::test
