// SPDX-License-Identifier: Apache-2.0
#include "export/http/http_answer.h"

#include <fmt/format.h>

#include <algorithm>

#include "export/http/retry_after.h"

namespace tailgate {
namespace {

FailReason reason_of(int status) {
  if (status == 408) return FailReason::kTimeout;
  return status == 413 || status == 429 ? FailReason::kRefused : FailReason::kUnavailable;
}

// Final refusals of the sender or of the address: the server would refuse every request likewise.
SendResult::About about_of(int status) {
  switch (status) {
    case 413:
      return SendResult::About::kSize;
    case 401:
    case 402:
    case 403:
    case 404:
    case 405:
    case 406:
    case 407:
    case 410:
    case 415:
    case 421:
    case 426:
    case 451:
    case 501:
    case 505:
      return SendResult::About::kAll;
    default:
      return SendResult::About::kContent;
  }
}

}  // namespace

bool is_transient(int status) {
  if (status < 400) return true;
  if (status < 500) return status == 408 || status == 425 || status == 429;
  return status != 501 && status != 505;
}

SendResult failure_of(const HttpReply& reply, std::string_view detail, std::uint64_t wall_ns,
                      const std::vector<int>& also) {
  const int status = reply.status;
  std::string text = fmt::format("HTTP status {}{}{}", status, detail.empty() ? "" : ": ", detail);
  if (is_transient(status) || std::find(also.begin(), also.end(), status) != also.end()) {
    const Duration after = parse_retry_after(reply.retry_after, wall_ns).value_or(Duration::zero());
    return SendResult::retry(reason_of(status), std::move(text), after);
  }
  return SendResult::permanent(status == 413 ? FailReason::kRefused : FailReason::kPermanent, std::move(text),
                               about_of(status));
}

SendResult failure_of(const Error& error) {
  const bool late = error.text.ends_with(" in time");  // HttpClient has one kind for all of these
  return SendResult::retry(late ? FailReason::kTimeout : FailReason::kUnavailable, error.text);
}

SendResult not_believed(const HttpReply& reply, std::string_view expected) {
  return SendResult::retry(FailReason::kUnavailable,
                           fmt::format("expected {}, got HTTP status {} with {}{}{}", expected, reply.status,
                                       reply.content_type.empty() ? "no content type" : media_type_of(reply),
                                       reply.body.empty() ? "" : ": ", text_of(reply)));
}

std::string media_type_of(const HttpReply& reply) {
  std::string type = reply.content_type.substr(0, std::min(reply.content_type.find(';'), kQuotedMax));
  type.erase(type.find_last_not_of(" \t") + 1);
  type.erase(0, std::min(type.find_first_not_of(" \t"), type.size()));
  for (char& c : type) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
  return type;
}

bool is_web_page(const HttpReply& reply) {
  const std::string type = media_type_of(reply);
  return type == "text/html" || type == "application/xhtml+xml";
}

std::string text_of(const HttpReply& reply) {
  std::string text = reply.body.substr(0, kQuotedMax);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, ' ');
  return text;
}

}  // namespace tailgate
