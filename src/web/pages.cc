// SPDX-License-Identifier: Apache-2.0
#include "web/pages.h"

#include <fmt/format.h>

#include <utility>

#include "net/http/grpc.h"

namespace tailgate {
namespace {

bool is_grpc_call(const RequestHead& head) { return head.is_http2 && is_grpc(head.header("content-type")); }

// A browser says that another site's page makes this request. Pages may be opened from a link, but not be read or sent
// anything by other sites' scripts and forms.
bool is_from_another_site(const RequestHead& head) {
  const std::string_view site = head.header("sec-fetch-site");
  if (site != "cross-site" && site != "same-site") return false;
  return head.method != "GET" || head.header("sec-fetch-mode") != "navigate";
}

}  // namespace

Pages::Pages() : refused_{{"unsupported", 0}} {
  for (const std::string_view reason : kRefuseWhyNames) refused_[reason] = 0;
}

void Pages::add_call(std::string path, std::size_t message_bytes_max, Call call, bool open) {
  Entry& entry = pages_[std::move(path)];
  entry.call = std::move(call);
  entry.body_bytes_max = message_bytes_max;
  entry.open = open;
}

const Pages::Entry* Pages::find(std::string_view path) const {
  if (const auto it = pages_.find(path); it != pages_.end()) return &it->second;
  while (!path.empty()) {
    path = path.substr(0, path.substr(0, path.size() - 1).rfind('/') + 1);
    if (path == "/") break;  // the front page alone
    if (const auto it = pages_.find(path); it != pages_.end()) return &it->second;
  }
  return nullptr;
}

Admission Pages::admit(const RequestHead& head) {
  const Entry* const entry = find(head.path());
  Admission admission;
  admission.body_bytes_max = 0;
  if (is_grpc_call(head)) {
    admission.grpc = true;
    if (entry != nullptr && entry->call) {
      admission.body_bytes_max = entry->body_bytes_max + 5;  // with the frame's head
      admission.open = entry->open;
      return admission;
    }
    count("unsupported");
    admission.refusal =
        grpc_response({RpcCode::kUnimplemented, fmt::format("there is no method {} here", head.path()), 0});
    return admission;
  }
  const bool gets = entry != nullptr && entry->page, posts = entry != nullptr && entry->post;
  if (!gets && !posts) {
    std::string known;
    for (const auto& [path, one] : pages_) {
      if (one.page || one.post) known += (known.empty() ? "" : ", ") + path;
    }
    admission.refusal = plain_response(404, "not found; here are " + known);
  } else if (is_from_another_site(head)) {
    admission.refusal = plain_response(403, "this page is not for the scripts and forms of other sites");
  } else if (posts && head.method == "POST") {
    admission.body_bytes_max = entry->body_bytes_max;
  } else if (!gets || (head.method != "GET" && head.method != "HEAD")) {
    admission.refusal = plain_response(405, gets ? "expected GET" : "expected POST");
    admission.refusal->headers.emplace_back("allow", !gets ? "POST" : posts ? "GET, HEAD, POST" : "GET, HEAD");
  }
  if (admission.refusal) count("unsupported");
  return admission;
}

void Pages::count(std::string_view reason) {
  const MutexLock lock(mutex_);
  ++refused_[reason];
}

std::map<std::string_view, std::uint64_t> Pages::refused() const {
  const MutexLock lock(mutex_);
  return refused_;
}

void Pages::handle(const RequestHead& head, BodyBuffer& body, Response& response) {
  const Entry& entry = *find(head.path());
  if (is_grpc_call(head)) {
    BodyBuffer scratch;
    ServerLimits limits;
    const GrpcMessage message = read_grpc_message(head, body.view(), limits, entry.body_bytes_max, scratch);
    response = message.status.code == RpcCode::kOk ? entry.call(head, message.bytes) : grpc_response(message.status);
  } else if (head.method == "POST") {
    response = entry.post(head, body.view());
  } else {
    response = entry.page(head);
  }
}

Response Pages::refuse(const RequestHead& head, const Refusal& refusal) {
  const RefusalAnswer answer = refusal_answer(refusal);
  count(answer.reason);
  if (is_grpc_call(head)) return grpc_response(answer.status);
  const Entry* const entry = find(head.path());
  const bool no_body = entry == nullptr || entry->body_bytes_max == 0;
  return plain_response(answer.http,
                        refusal.why == RefuseWhy::kTooLarge && no_body ? "expected no body" : answer.status.message);
}

}  // namespace tailgate
