// SPDX-License-Identifier: Apache-2.0
#include "net/io_threads.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <thread>
#include <vector>

namespace tailgate {

namespace asio = boost::asio;

struct IoThreads::Impl {
  using Guard = asio::executor_work_guard<asio::io_context::executor_type>;

  std::string name;
  std::vector<std::unique_ptr<asio::io_context>> contexts;
  std::vector<Guard> guards;
  std::vector<std::thread> threads;
};

IoThreads::IoThreads(std::size_t count, std::string name) : impl_(std::make_unique<Impl>()) {
  impl_->name = std::move(name);
  if (count == 0) count = std::max(1U, std::thread::hardware_concurrency());
  for (std::size_t i = 0; i < count; ++i) {
    impl_->contexts.push_back(std::make_unique<asio::io_context>(1));  // 1: run by one thread
    impl_->guards.emplace_back(impl_->contexts.back()->get_executor());
  }
}

IoThreads::~IoThreads() { stop(); }

void IoThreads::start() {
  for (std::size_t i = 0; i < impl_->contexts.size(); ++i) {
    impl_->threads.emplace_back([io = impl_->contexts[i].get()] { io->run(); });
    const std::string name = impl_->name + "-" + std::to_string(i);
    pthread_setname_np(impl_->threads.back().native_handle(), name.substr(0, 15).c_str());
  }
}

void IoThreads::stop() {
  for (auto& io : impl_->contexts) io->stop();
  for (auto& thread : impl_->threads) thread.join();
  impl_->threads.clear();
}

std::size_t IoThreads::size() const { return impl_->contexts.size(); }
boost::asio::io_context& IoThreads::context(std::size_t i) { return *impl_->contexts[i]; }
void IoThreads::post(std::size_t i, std::function<void()> work) { asio::post(*impl_->contexts[i], std::move(work)); }

}  // namespace tailgate
