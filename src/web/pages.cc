// SPDX-License-Identifier: Apache-2.0
#include "web/pages.h"

namespace tailgate {

Pages::Pages() : refused_{{"unsupported", 0}} {
  for (const std::string_view reason : kRefuseWhyNames) refused_[reason] = 0;
}

const Pages::Page* Pages::find(std::string_view path) const {
  if (const auto it = pages_.find(path); it != pages_.end()) return &it->second;
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return nullptr;
  const auto it = pages_.find(path.substr(0, slash + 1));
  return it != pages_.end() ? &it->second : nullptr;
}

Admission Pages::admit(const RequestHead& head) {
  Admission admission;
  admission.body_bytes_max = 0;
  if (find(head.path()) == nullptr) {
    std::string known;
    for (const auto& [path, page] : pages_) known += (known.empty() ? "" : ", ") + path;
    admission.refusal = plain_response(404, "not found; here are " + known);
  } else if (head.method != "GET" && head.method != "HEAD") {
    admission.refusal = plain_response(405, "expected GET");
    admission.refusal->headers.emplace_back("allow", "GET, HEAD");
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

void Pages::handle(const RequestHead& head, BodyBuffer&, Response& response) { response = (*find(head.path()))(head); }

Response Pages::refuse(const RequestHead&, const Refusal& refusal) {
  const RefusalAnswer answer = refusal_answer(refusal);
  count(answer.reason);
  return plain_response(answer.http, refusal.why == RefuseWhy::kTooLarge ? "expected no body" : answer.status.message);
}

}  // namespace tailgate
