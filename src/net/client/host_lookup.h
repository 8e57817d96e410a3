// SPDX-License-Identifier: Apache-2.0
// HostLookup: asks the system (getaddrinfo) for the addresses of a name without blocking the caller.
//
// getaddrinfo cannot be interrupted, and takes half a minute when no name server answers. Asio's resolver runs it in a
// thread that the destructor of the io_context joins, so the end of the process would wait as long. Here the thread is
// detached, exists only while there is a question, and owns nothing but what it shares with this object.
//
// Threads: all calls and callbacks on the thread that runs the io_context. The destructor waits for nothing; any thread
// may call it once nobody runs the io_context. Destroy it before the io_context.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace boost::asio {
class io_context;
}

namespace tailgate {

using HostAddresses = std::vector<std::string>;  // numeric, never empty

// Asks the system and waits for the answer. Errors: kUnavailable when there is no answer.
Result<HostAddresses> ask_system(const std::string& host);

class HostLookup {
 public:
  using Found = std::function<void(const Result<HostAddresses>&)>;
  using Ask = std::function<Result<HostAddresses>(const std::string& host)>;

  // The detached thread calls `ask`, which may still run when this object and its owner are destroyed.
  explicit HostLookup(boost::asio::io_context& io, Ask ask = ask_system);
  ~HostLookup();
  HostLookup(const HostLookup&) = delete;
  HostLookup& operator=(const HostLookup&) = delete;

  // Calls `found` once, later. Names are asked one after the other; callers that want the same name share one answer.
  std::uint64_t look_up(const std::string& host, Found found);
  // Drops the callback of that number. Has no effect when it was called already, or when the number is 0.
  void forget(std::uint64_t number);

 private:
  struct Shared;
  struct Asked;
  void found(const std::string& host, const Result<HostAddresses>& addresses);

  boost::asio::io_context& io_;
  std::shared_ptr<Shared> shared_;
  std::map<std::string, Asked> asked_;
  std::vector<std::pair<std::uint64_t, Found>> answering_;  // callbacks of the answer that is being delivered
  std::uint64_t numbers_ = 0;
};

}  // namespace tailgate
