// SPDX-License-Identifier: Apache-2.0
#include "net/http/http.h"

#include <algorithm>

namespace tailgate {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace

void HeaderList::add(std::string_view name, std::string_view value) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!value.empty() && blank(value.front())) value.remove_prefix(1);
  while (!value.empty() && blank(value.back())) value.remove_suffix(1);
  fields_.push_back({static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(name.size()),
                     static_cast<std::uint32_t>(value.size())});
  for (const char c : name) bytes_.push_back(lower(c));
  bytes_.append(value);
}

std::optional<std::string_view> HeaderList::find(std::string_view name) const {
  for (const Field& f : fields_) {
    if (std::string_view(bytes_).substr(f.begin, f.name_size) == name) {
      return std::string_view(bytes_).substr(f.begin + f.name_size, f.value_size);
    }
  }
  return std::nullopt;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view media_type_of(std::string_view content_type) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  content_type = content_type.substr(0, content_type.find(';'));
  while (!content_type.empty() && is_blank(content_type.back())) content_type.remove_suffix(1);
  while (!content_type.empty() && is_blank(content_type.front())) content_type.remove_prefix(1);
  return content_type;
}

std::string origin_form(std::string_view target) {
  const std::size_t authority = target.find("://");
  if (authority == std::string_view::npos) return std::string(target);
  const std::string_view scheme = target.substr(0, authority);
  if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https")) return std::string(target);
  const std::size_t path = target.find_first_of("/?", authority + 3);
  if (path == std::string_view::npos) return "/";
  return (target[path] == '?' ? "/" : "") + std::string(target.substr(path));
}

std::size_t HeaderList::count(std::string_view name) const {
  return static_cast<std::size_t>(std::count_if(fields_.begin(), fields_.end(), [&](const Field& f) {
    return std::string_view(bytes_).substr(f.begin, f.name_size) == name;
  }));
}

void RequestHead::clear() {
  method.clear();
  target.clear();
  headers.clear();
  identity.clear();
  client.reset();
  content_length.reset();
}

Response plain_response(int status, std::string_view text) {
  Response r;
  r.status = status;
  if (!text.empty()) {
    r.headers.emplace_back("content-type", "text/plain; charset=utf-8");
    r.body.assign(text).push_back('\n');
  }
  return r;
}

Response refuse_failed(Handler& handler, const RequestHead& head) noexcept {
  try {
    return handler.refuse(head, RefuseWhy::kInternal);
  } catch (...) {
    Response plain;  // without what would take memory
    plain.status = 500;
    return plain;
  }
}

std::string_view http_reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

}  // namespace tailgate
