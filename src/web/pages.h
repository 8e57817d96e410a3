// SPDX-License-Identifier: Apache-2.0
// Pages: the daemon's own pages (/metrics, /health, /explain, the doors for queries), as a handler for a net Server.
//
// Threads: any; each page's function is called by the I/O thread that serves it and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "net/http/http.h"
#include "net/http/page_question.h"
#include "net/refusal.h"

namespace tailgate {

// `localhost`, a name below it, or an address that only this machine reaches.
bool is_loopback_host(std::string_view host);

class Pages final : public Handler {
 public:
  Pages();

  using Page = std::function<Response(const RequestHead&)>;
  using Post = std::function<Response(const RequestHead&, ByteView body)>;

  // Before the server is opened. A path that ends with '/' takes everything under it, unless a longer one does.
  void add(std::string path, Page page) { pages_[std::move(path)].page = std::move(page); }
  // Takes POST with a body, instead or besides. `body` is good during the call only.
  void add_post(std::string path, std::size_t body_bytes_max, Post post) {
    Entry& entry = pages_[std::move(path)];
    entry.post = std::move(post);
    entry.body_bytes_max = body_bytes_max;
  }
  // Takes DELETE too, without a body.
  void add_remove(std::string path, Page remove) { pages_[std::move(path)].remove = std::move(remove); }
  // A gRPC method with this path; `call` gets the message of the request, inflated. `open`: for those without
  // credentials too.
  using Call = std::function<Response(const RequestHead&, ByteView message)>;
  void add_call(std::string path, std::size_t message_bytes_max, Call call, bool open = false);

  // Before the server is opened: only requests whose Host is an IP address, localhost, a name below it or one of
  // `hosts` get a page. A name of another site that leads here, as DNS can make it do, makes that site's scripts our
  // own.
  void answer_only_to(std::vector<std::string> hosts) { hosts_ = std::move(hosts); }

  // As a server would, to a question from within, which is not refused for where it comes from. A page whose answer
  // comes later has none.
  PageAnswer answer(const PageQuestion& question) const;

  Admission admit(const RequestHead& head) override;
  void handle(const RequestHead& head, BodyBuffer& body, Response& response) override;
  Response refuse(const RequestHead& head, const Refusal& refusal) override;

  // Requests refused, by reason: `unsupported` (another path or method), and kRefuseWhyNames; zeros too.
  std::map<std::string_view, std::uint64_t> refused() const;

 private:
  struct Entry {
    Page page;
    Page remove;
    Post post;
    Call call;
    std::size_t body_bytes_max = 0;
    bool open = false;
  };
  const Entry* find(std::string_view path) const;
  void count(std::string_view reason);
  std::optional<Response> refuse_stranger(const RequestHead& head) const;
  bool is_known(std::string_view host) const;

  std::map<std::string, Entry, std::less<>> pages_;
  std::optional<std::vector<std::string>> hosts_;  // in lower case; none: every name will do
  mutable Mutex mutex_;
  std::map<std::string_view, std::uint64_t> refused_ TAILGATE_GUARDED_BY(mutex_);  // the keys are constants
};

}  // namespace tailgate
