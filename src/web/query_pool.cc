// SPDX-License-Identifier: Apache-2.0
#include "web/query_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <exception>
#include <utility>

namespace tailgate {

QueryPool::QueryPool(const QueryPoolOptions& options) : waiting_max_(options.waiting_max) {
  for (std::size_t i = 0; i < options.threads; ++i) threads_.emplace_back([this, nice = options.nice] { run(nice); });
}

QueryPool::~QueryPool() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    for (const Query& query : waiting_) query.answer->give_up();
    waiting_.clear();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Response QueryPool::later(Work work, ErrorPage error) {
  auto answer = std::make_shared<LaterAnswer>();
  {
    const MutexLock lock(mutex_);
    if (ending_ || waiting_.size() >= waiting_max_) {
      ++stats_.refused;
      Response busy = error(503, kTooManyQueries);
      busy.headers.emplace_back("retry-after", "1");
      return busy;
    }
    waiting_.push_back({answer, std::move(work)});
  }
  changed_.notify_one();
  Response response;
  response.later = std::move(answer);
  return response;
}

void QueryPool::count_search(bool cut, bool damaged) {
  const MutexLock lock(mutex_);
  stats_.cut += cut ? 1 : 0;
  stats_.damaged += damaged ? 1 : 0;
}

QueryPool::Stats QueryPool::stats() const {
  const MutexLock lock(mutex_);
  Stats out = stats_;
  out.waiting = waiting_.size();
  return out;
}

void QueryPool::Stats::add(const Stats& other) {
  done += other.done;
  refused += other.refused;
  cancelled += other.cancelled;
  failed += other.failed;
  cut += other.cut;
  damaged += other.damaged;
  waiting += other.waiting;
}

// Returns false when the work failed.
bool QueryPool::answer(Query& query) {
  bool good = true;
  try {
    query.work(*query.answer);
  } catch (const std::exception&) {
    good = false;
  }
  query.answer->give_up();  // does nothing to an answer that has ended
  return good;
}

void QueryPool::run(int nice) {
  ::pthread_setname_np(::pthread_self(), "query");
  // Linux gives each thread a nice value of its own, against POSIX; here it is what we want.
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice);
  for (;;) {
    Query query;
    {
      const MutexLock lock(mutex_);
      while (!ending_ && waiting_.empty()) changed_.wait(mutex_);
      if (ending_) return;
      query = std::move(waiting_.front());
      waiting_.pop_front();
    }
    const bool wanted = !query.answer->cancelled();
    const bool good = !wanted || answer(query);
    const bool cancelled = query.answer->cancelled();
    query = {};  // its memory goes before the next wait
    const MutexLock lock(mutex_);
    ++(!good ? stats_.failed : cancelled ? stats_.cancelled : stats_.done);
  }
}

}  // namespace tailgate
