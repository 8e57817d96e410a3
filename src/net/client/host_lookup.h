// HostLookup: what addresses a name has, asked of the system (getaddrinfo) without waiting for it.
//
// getaddrinfo cannot be cut short, and where no name server answers it takes half a minute. Asio's resolver asks in a
// thread that the end of the io_context joins, so the end of the process would wait as long. Here the thread is
// detached, is there only while something is asked, and holds nothing but what it shares with this object.
//
// Threads: all calls and callbacks on the thread that runs the io_context; the end of this object, which waits for
// nothing, may be anywhere once nobody runs it. Goes before the io_context.
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

using HostAddresses = std::vector<std::string>;  // numbers, never empty

// Asks the system and waits for the answer. kUnavailable: nobody could say.
Result<HostAddresses> ask_system(const std::string& host);

class HostLookup {
 public:
  using Found = std::function<void(const Result<HostAddresses>&)>;
  using Ask = std::function<Result<HostAddresses>(const std::string& host)>;

  // `ask` is called by the detached thread, and may still be running when this object and its maker are gone.
  explicit HostLookup(boost::asio::io_context& io, Ask ask = ask_system);
  ~HostLookup();
  HostLookup(const HostLookup&) = delete;
  HostLookup& operator=(const HostLookup&) = delete;

  // `found` is called once, later. Names are asked one after the other, one that is being asked not again.
  std::uint64_t look_up(const std::string& host, Found found);
  // The callback of that number will not be called. One that was called already, or 0: no effect.
  void forget(std::uint64_t number);

 private:
  struct Shared;
  struct Asked;
  void found(const std::string& host, const Result<HostAddresses>& addresses);

  boost::asio::io_context& io_;
  std::shared_ptr<Shared> shared_;
  std::map<std::string, Asked> asked_;
  std::vector<std::pair<std::uint64_t, Found>> answering_;  // of the answer that is being told
  std::uint64_t numbers_ = 0;
};

}  // namespace tailgate
