// Pages: small GET pages of the daemon itself (/metrics, /health, /explain) as a handler of net's server.
//
// Threads: any; each page's function is called by the I/O thread that serves it and must not block.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "net/http.h"

namespace tailgate {

class Pages final : public Handler {
 public:
  using Page = std::function<Response(const RequestHead&)>;

  // Before the server is opened. A path that ends with '/' takes everything under it.
  void add(std::string path, Page page) { pages_[std::move(path)] = std::move(page); }

  Admission admit(const RequestHead& head) override;
  void handle(const RequestHead& head, BodyBuffer& body, Response& response) override;
  Response refuse(const RequestHead& head, const Refusal& refusal) override;

 private:
  const Page* find(std::string_view path) const;

  std::map<std::string, Page, std::less<>> pages_;
};

}  // namespace tailgate
