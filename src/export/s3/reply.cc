// SPDX-License-Identifier: Apache-2.0
#include "export/s3/reply.h"

#include <fmt/format.h>

#include <algorithm>

#include "export/http/http_answer.h"

namespace tailgate {
namespace {

constexpr std::size_t kElementMax = 16 << 10;  // of an element; a session token is the longest, some 2 KiB

}  // namespace

std::string xml_text(std::string_view xml, std::string_view name) {
  const std::string open = fmt::format("<{}>", name), close = fmt::format("</{}>", name);
  const std::size_t from = xml.find(open);
  if (from == std::string_view::npos) return "";
  xml.remove_prefix(from + open.size());
  const std::size_t to = xml.find(close);
  if (to == std::string_view::npos) return "";
  std::string out(xml.substr(0, std::min(to, kElementMax)));
  constexpr std::pair<std::string_view, char> kEntities[] = {
      {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&#34;", '"'}, {"&apos;", '\''}, {"&#39;", '\''}, {"&amp;", '&'}};
  for (const auto& [entity, character] : kEntities) {
    for (std::size_t at = 0; (at = out.find(entity, at)) != std::string::npos; ++at)
      out.replace(at, entity.size(), 1, character);
  }
  return out;
}

std::string complete_parts(const std::vector<std::string>& etags) {
  std::string out = R"(<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">)";
  for (std::size_t i = 0; i < etags.size(); ++i)
    out += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, etags[i]);
  return out + "</CompleteMultipartUpload>";
}

bool s3_succeeded(const HttpReply& reply) {
  return reply.status / 100 == 2 && reply.body.find("<Error") == std::string::npos;
}

bool s3_completed(const HttpReply& reply) {
  return s3_succeeded(reply) && reply.body.find("CompleteMultipartUploadResult") != std::string::npos;
}

SendResult s3_failure(const HttpReply& reply, std::uint64_t wall_ns) {
  const std::string code = xml_text(reply.body, "Code"), message = xml_text(reply.body, "Message");
  std::string text = fmt::format("{}{}{}", code, message.empty() ? "" : ": ", message);
  for (char& c : text) {
    if (c < ' ' && c >= 0) c = ' ';
  }
  text.resize(std::min(text.size(), kQuotedMax));
  SendResult out = failure_of(reply, text, wall_ns);
  out.kind = SendResult::Kind::kRetry;
  if (code == "SlowDown" || code == "RequestLimitExceeded") {
    out.reason = FailReason::kRefused;
  } else if (code == "RequestTimeout" || reply.status == 408) {
    out.reason = FailReason::kTimeout;
  } else if (reply.status / 100 == 5 || reply.status / 100 == 2) {
    out.reason = FailReason::kUnavailable;
  } else {
    out.reason = FailReason::kRefused;
  }
  return out;
}

}  // namespace tailgate
