// IoThreads: the threads that own sockets, each running one io_context to completion, handler after handler.
//
// Everything made on a context (servers, clients) must be gone before its IoThreads is.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace boost::asio {
class io_context;
}

namespace tailgate {

class IoThreads {
 public:
  // `count` 0: one per core. `name` is what the threads are called in ps and gdb, with a number behind.
  explicit IoThreads(std::size_t count = 0, std::string name = "io");
  ~IoThreads();  // stops
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  void start();  // once
  void stop();   // waits for the threads; handlers not yet run are dropped with the contexts

  std::size_t size() const;
  boost::asio::io_context& context(std::size_t i);
  // Runs `work` on thread i, later. Any thread.
  void post(std::size_t i, std::function<void()> work);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailgate
