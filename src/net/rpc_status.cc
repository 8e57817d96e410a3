#include "net/rpc_status.h"

#include <fmt/format.h>

namespace tailgate {
namespace {

// Length of the UTF-8 sequence at the front (RFC 3629: no surrogates, no overlong forms), 0 if there is none.
std::size_t utf8_length(std::string_view s) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char c = at(0);
  if (c < 0x80) return 1;
  const std::size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
  if (c < 0xC2 || c > 0xF4 || s.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  if ((c == 0xE0 && at(1) < 0xA0) || (c == 0xED && at(1) > 0x9F) || (c == 0xF0 && at(1) < 0x90) ||
      (c == 0xF4 && at(1) > 0x8F)) {
    return 0;
  }
  return n;
}

std::string retry_info(std::uint32_t seconds) {
  std::string duration;
  duration.push_back('\x08');
  append_varint(duration, seconds);
  std::string info;
  append_field(info, 1, duration);
  return info;
}

constexpr std::string_view kRetryInfoType = "type.googleapis.com/google.rpc.RetryInfo";

}  // namespace

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void append_field(std::string& out, std::uint32_t number, std::string_view bytes) {
  append_varint(out, (number << 3) | 2);
  append_varint(out, bytes.size());
  out.append(bytes);
}

std::string rpc_status_proto(const RpcStatus& status) {
  std::string out;
  out.push_back('\x08');
  append_varint(out, static_cast<std::uint64_t>(status.code));
  if (!status.message.empty()) append_field(out, 2, status.message);
  if (status.retry_seconds != 0) {
    std::string any;
    append_field(any, 1, kRetryInfoType);
    append_field(any, 2, retry_info(status.retry_seconds));
    append_field(out, 3, any);
  }
  return out;
}

std::string rpc_status_json(const RpcStatus& status) {
  std::string out =
      fmt::format("{{\"code\":{},\"message\":{}", static_cast<int>(status.code), json_quoted(status.message));
  if (status.retry_seconds != 0) {
    out +=
        fmt::format(",\"details\":[{{\"@type\":\"{}\",\"retryDelay\":\"{}s\"}}]", kRetryInfoType, status.retry_seconds);
  }
  return out + "}";
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(text.front());
    } else if (c == '\n') {
      out += "\\n";
    } else if (c < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04x}", c);
    } else if (const std::size_t n = utf8_length(text); n != 0) {
      out.append(text.substr(0, n));
      text.remove_prefix(n);
      continue;
    } else {
      out += "\xEF\xBF\xBD";
    }
    text.remove_prefix(1);
  }
  return out + "\"";
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= 0x20 && c <= 0x7E && c != '%') {
      out.push_back(c);
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string base64_unpadded(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : bytes) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    for (have += 8; have >= 6; have -= 6) out.push_back(kDigits[(bits >> (have - 6)) & 63]);
  }
  if (have > 0) out.push_back(kDigits[(bits << (6 - have)) & 63]);
  return out;
}

}  // namespace tailgate
