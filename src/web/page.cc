// SPDX-License-Identifier: Apache-2.0
#include "web/page.h"

#include <fmt/format.h>

#include <string>

#include "base/hash.h"
#include "model/ids.h"

namespace tailgate {
namespace {

// Nothing from elsewhere, no inline script or style. Texts of spans are never markup (page/dom.js), and this is the
// second wall.
constexpr std::string_view kAllowed =
    "script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'none'";

std::string_view content_type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  return "image/svg+xml";
}

// Browsers ask again each time, and get the bytes only when the binary has others.
Response serve(const Asset& asset, std::string_view tag, const RequestHead& head) {
  Response response;
  response.headers = page_headers(content_type_of(asset.name), kAllowed);
  response.headers.emplace_back("cache-control", "no-cache");
  response.headers.emplace_back("etag", tag);
  if (head.header("if-none-match") == tag) {
    response.status = 304;
  } else {
    response.body = asset.bytes;
  }
  return response;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> page_headers(std::string_view type, std::string_view allowed) {
  return {{"content-type", std::string(type)},
          {"content-security-policy",
           fmt::format("default-src 'none'; {}; base-uri 'none'; frame-ancestors 'none'", allowed)},
          {"x-content-type-options", "nosniff"},
          {"referrer-policy", "no-referrer"}};
}

void add_page(Pages& pages) {
  for (const Asset& asset : page_assets()) {
    const std::string tag = fmt::format("\"{:016x}\"", hash_bytes(asset.bytes, 0));
    const auto page = [&asset, tag](const RequestHead& head) { return serve(asset, tag, head); };
    if (asset.name == "index.html") {
      pages.add("/", page);
      pages.add("/trace/", [page](const RequestHead& head) {
        Response response = page(head);
        // The browser asks for the trace at once, and not only when the scripts are there.
        if (const auto id = TraceId::from_short_hex(head.path().substr(std::string_view("/trace/").size()))) {
          response.headers.emplace_back(
              "link", fmt::format("</api/trace/{}>; rel=preload; as=fetch; crossorigin=anonymous", id->hex()));
        }
        return response;
      });
    } else {
      pages.add("/page/" + std::string(asset.name), page);
    }
  }
}

}  // namespace tailgate
