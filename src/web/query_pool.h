// SPDX-License-Identifier: Apache-2.0
// QueryPool: the threads that answer queries, so that a slow search holds up neither spans nor the other pages.
//
//   QueryPool pool({.threads = 2});
//   pages.add("/api/search", [&](const RequestHead& head) {
//     return pool.later([request = head.target](LaterAnswer& answer) { answer.answer(...); });
//   });
//
// The threads have a low priority (nice). A query that finds no free thread waits; when too many wait, the answer is
// 503. Threads: later() on any; the pool ends after the servers whose requests it answers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "net/http/later_answer.h"
#include "web/json_page.h"

namespace tailgate {

struct QueryPoolOptions {
  std::size_t threads = 2;
  std::size_t waiting_max = 64;
  int nice = 10;  // added to the process's, by the kernel's rules: 1 to 19
};

inline constexpr std::string_view kTooManyQueries = "too many queries wait; try again in a moment";

class QueryPool {
 public:
  using Work = std::function<void(LaterAnswer&)>;

  explicit QueryPool(const QueryPoolOptions& options);
  ~QueryPool();
  QueryPool(const QueryPool&) = delete;
  QueryPool& operator=(const QueryPool&) = delete;

  // Does `work` on one of the threads. It must end the answer; what it leaves open, or throws, is a failure for the
  // peer. When too many wait: `error` of 503 at once, with a Retry-After.
  Response later(Work work, ErrorPage error = json_error);

  // A search that ended, whatever became of the query: by its limits, or over damaged files.
  void count_search(bool cut, bool damaged);

  struct Stats {
    std::uint64_t done = 0, refused = 0, cancelled = 0, failed = 0, cut = 0, damaged = 0;
    std::size_t waiting = 0;

    void add(const Stats& other);
  };
  Stats stats() const;

 private:
  struct Query {
    std::shared_ptr<LaterAnswer> answer;
    Work work;
  };
  void run(int nice);
  static bool answer(Query& query);

  const std::size_t waiting_max_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Query> waiting_ TAILGATE_GUARDED_BY(mutex_);
  Stats stats_ TAILGATE_GUARDED_BY(mutex_);
  bool ending_ TAILGATE_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tailgate
