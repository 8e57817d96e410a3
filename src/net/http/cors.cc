// SPDX-License-Identifier: Apache-2.0
#include "net/http/cors.h"

#include <algorithm>
#include <cctype>

#include "config/config_node.h"

namespace tailgate {
namespace {

// One pass with a way back to the last '*': linear but for the backtracking, which the pattern's stars bound.
bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && std::tolower(static_cast<unsigned char>(pattern[p])) ==
                                         std::tolower(static_cast<unsigned char>(text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool header_is_allowed(const CorsOptions& cors, std::string_view header) {
  for (const std::string_view always : {"accept", "content-type", "x-requested-with"}) {
    if (equal_ignoring_case(header, always)) return true;
  }
  return std::any_of(cors.allowed_headers.begin(), cors.allowed_headers.end(), [&](const std::string& allowed) {
    return allowed == "*" || equal_ignoring_case(allowed, header);
  });
}

// A bare "*" admits every page, but without the user's credentials; those need an origin that is named.
void allow_origin(const CorsOptions& cors, const RequestHead& head, Response& response) {
  const std::string_view origin = head.header("origin");
  const bool named =
      std::any_of(cors.allowed_origins.begin(), cors.allowed_origins.end(),
                  [&](const std::string& pattern) { return pattern != "*" && matches(pattern, origin); });
  response.headers.emplace_back("access-control-allow-origin", named ? origin : "*");
  if (!named) return;
  response.headers.emplace_back("access-control-allow-credentials", "true");
}

}  // namespace

CorsOptions read_cors(const ConfigNode& node) {
  CorsOptions out;
  if (node.is_null()) return out;
  out.allowed_origins = node.texts("allowed_origins");
  out.allowed_headers = node.texts("allowed_headers");
  out.max_age_seconds = node.integer("max_age", 0, {.min = 0, .max = 86'400});
  if (out.allowed_origins.empty())
    node.error("allowed_origins", "expected at least one origin, as https://*.example.com");
  node.without_effect({"exposed_headers"});
  node.finish();
  return out;
}

bool origin_is_allowed(const CorsOptions& cors, std::string_view origin) {
  return !origin.empty() && std::any_of(cors.allowed_origins.begin(), cors.allowed_origins.end(),
                                        [&](const std::string& pattern) { return matches(pattern, origin); });
}

std::optional<Response> preflight(const CorsOptions& cors, const RequestHead& head) {
  if (cors.allowed_origins.empty() || head.method != "OPTIONS" ||
      head.header("access-control-request-method").empty()) {
    return std::nullopt;
  }
  Response response = plain_response(204);
  response.headers.emplace_back("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
  if (!origin_is_allowed(cors, head.header("origin")) || head.header("access-control-request-method") != "POST")
    return response;
  const std::string_view asked = head.header("access-control-request-headers");
  for (std::size_t at = 0; at < asked.size();) {
    const std::size_t end = std::min(asked.find(',', at), asked.size());
    std::string_view one = asked.substr(at, end - at);
    at = end + 1;
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
    if (!one.empty() && !header_is_allowed(cors, one)) return response;
  }
  allow_origin(cors, head, response);
  response.headers.emplace_back("access-control-allow-methods", "POST");
  if (!asked.empty()) response.headers.emplace_back("access-control-allow-headers", asked);
  if (cors.max_age_seconds != 0)
    response.headers.emplace_back("access-control-max-age", std::to_string(cors.max_age_seconds));
  return response;
}

void add_cors_headers(const CorsOptions& cors, const RequestHead& head, Response& response) {
  if (cors.allowed_origins.empty()) return;
  response.headers.emplace_back("vary", "Origin");
  if (origin_is_allowed(cors, head.header("origin"))) allow_origin(cors, head, response);
}

}  // namespace tailgate
