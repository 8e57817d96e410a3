// SPDX-License-Identifier: Apache-2.0
#include "web/pages.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "codec/utf8.h"
#include "net/http/grpc.h"

namespace tailgate {
namespace {

bool is_grpc_call(const RequestHead& head) { return head.is_http2 && is_grpc(head.header("content-type")); }

// Of HOST, HOST:PORT, [V6] or [V6]:PORT; in lower case, without brackets and a last dot.
std::string host_name(std::string_view authority) {
  std::string_view host = authority.substr(0, authority.find(':'));
  if (authority.starts_with('[')) host = authority.substr(1, authority.find(']') - 1);
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string out(host);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return out;
}

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

bool is_local_name(std::string_view host) { return host == "localhost" || host.ends_with(".localhost"); }

}  // namespace

bool is_loopback_host(std::string_view host) {
  return is_local_name(host) || host == "::1" || (host.starts_with("127.") && is_address(std::string(host)));
}

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
  } else if ((admission.refusal = refuse_stranger(head))) {
    // It has its answer.
  } else if (posts && head.method == "POST") {
    admission.body_bytes_max = entry->body_bytes_max;
  } else if (entry->remove && head.method == "DELETE") {
    // It has no body.
  } else if (!gets || (head.method != "GET" && head.method != "HEAD")) {
    admission.refusal = plain_response(405, gets ? "expected GET" : "expected POST");
    std::string allow = !gets ? "POST" : posts ? "GET, HEAD, POST" : "GET, HEAD";
    if (entry->remove) allow += ", DELETE";
    admission.refusal->headers.emplace_back("allow", allow);
  }
  if (admission.refusal) count("unsupported");
  return admission;
}

bool Pages::is_known(std::string_view host) const {
  return hosts_ && std::find(hosts_->begin(), hosts_->end(), host) != hosts_->end();
}

// Pages may be opened from a link, but not be read or sent anything by other sites' scripts and forms. Browsers name
// the site only to addresses that they trust (https, localhost); the origin of a POST they name to all.
std::optional<Response> Pages::refuse_stranger(const RequestHead& head) const {
  const std::string_view authority = head.header("host");
  const std::string host = host_name(authority);
  if (hosts_ && !host.empty() && !is_address(host) && !is_local_name(host) && !is_known(host)) {
    return plain_response(421, fmt::format("expected the address of this machine or a name listed in web.hosts as the "
                                           "host, got '{}'",
                                           to_utf8(ByteView(host).substr(0, 80))));
  }
  const std::string_view site = head.header("sec-fetch-site"), origin = head.header("origin");
  bool other = site == "cross-site" || site == "same-site";
  if (other) other = head.method != "GET" || head.header("sec-fetch-mode") != "navigate";
  if (site.empty() && !origin.empty() && head.method == "POST") {
    const std::string_view from = origin.substr(std::min(origin.size(), origin.find("://") + 3));
    other = origin == "null" || (from != authority && !is_known(host_name(from)));
  }
  if (!other) return std::nullopt;
  return plain_response(403, "this page is not for the scripts and forms of other sites");
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
  } else if (head.method == "DELETE") {
    response = entry.remove(head);
  } else {
    response = entry.page(head);
  }
}

PageAnswer Pages::answer(const PageQuestion& question) const {
  RequestHead head;
  head.method = question.method;
  head.target = question.target;
  const Entry* const entry = find(head.path());
  Response response = plain_response(404, "there is no such page");
  if (entry != nullptr && question.method == "POST" && entry->post && question.body.size() <= entry->body_bytes_max) {
    response = entry->post(head, question.body);
  } else if (entry != nullptr && question.method == "DELETE" && entry->remove) {
    response = entry->remove(head);
  } else if (entry != nullptr && question.method == "GET" && entry->page) {
    response = entry->page(head);
  }
  return {response.status, std::move(response.body)};
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
