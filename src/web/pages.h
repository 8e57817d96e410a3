// SPDX-License-Identifier: Apache-2.0
// Pages: the daemon's own small GET pages (/metrics, /health, /explain), as a handler for a net Server.
//
// Threads: any; each page's function is called by the I/O thread that serves it and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "net/http/http.h"
#include "net/refusal.h"

namespace tailgate {

class Pages final : public Handler {
 public:
  Pages();

  using Page = std::function<Response(const RequestHead&)>;

  // Before the server is opened. A path that ends with '/' takes everything under it.
  void add(std::string path, Page page) { pages_[std::move(path)] = std::move(page); }

  Admission admit(const RequestHead& head) override;
  void handle(const RequestHead& head, BodyBuffer& body, Response& response) override;
  Response refuse(const RequestHead& head, const Refusal& refusal) override;

  // Requests refused, by reason: `unsupported` (another path or method), and kRefuseWhyNames; zeros too.
  std::map<std::string_view, std::uint64_t> refused() const;

 private:
  const Page* find(std::string_view path) const;
  void count(std::string_view reason);

  std::map<std::string, Page, std::less<>> pages_;
  mutable Mutex mutex_;
  std::map<std::string_view, std::uint64_t> refused_ TAILGATE_GUARDED_BY(mutex_);  // the keys are constants
};

}  // namespace tailgate
