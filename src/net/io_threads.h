// SPDX-License-Identifier: Apache-2.0
// IoThreads: the threads that own sockets. Each runs one io_context to completion, handler after handler.
//
// Servers and clients that use a context must be destroyed before the IoThreads.
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
  // `count` 0: one per core. ps and gdb show the threads as `name` with a number.
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
