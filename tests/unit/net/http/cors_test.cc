// SPDX-License-Identifier: Apache-2.0
#include "net/http/cors.h"

#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

RequestHead asking(const std::string& origin, const std::string& headers = "", const std::string& method = "POST") {
  RequestHead head;
  head.method = "OPTIONS";
  head.target = "/v1/traces";
  if (!origin.empty()) head.headers.add("origin", origin);
  head.headers.add("access-control-request-method", method);
  if (!headers.empty()) head.headers.add("access-control-request-headers", headers);
  return head;
}

std::string header(const Response& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "-";
}

const CorsOptions kCors{.allowed_origins = {"https://*.example.com", "http://localhost:*"},
                        .allowed_headers = {"X-Tenant"},
                        .max_age_seconds = 60};

}  // namespace

TEST_CASE("origins are allowed by pattern", "[net]") {
  CHECK(origin_is_allowed(kCors, "https://shop.example.com"));
  CHECK(origin_is_allowed(kCors, "HTTPS://shop.Example.com"));
  CHECK(origin_is_allowed(kCors, "http://localhost:3000"));
  CHECK_FALSE(origin_is_allowed(kCors, "https://example.com"));
  CHECK_FALSE(origin_is_allowed(kCors, "https://shop.example.com.evil.net"));
  CHECK_FALSE(origin_is_allowed(kCors, "http://shop.example.com"));
  CHECK_FALSE(origin_is_allowed(kCors, ""));
  CHECK(origin_is_allowed({.allowed_origins = {"*"}}, "null"));
  CHECK_FALSE(origin_is_allowed({.allowed_origins = {"*a*a*a*a*b"}}, std::string(5000, 'a')));
}

TEST_CASE("a preflight is answered for allowed origins, methods and headers", "[net]") {
  const Response good = preflight(kCors, asking("https://a.example.com", "content-type, x-tenant")).value();
  CHECK(good.status == 204);
  CHECK(header(good, "access-control-allow-origin") == "https://a.example.com");
  CHECK(header(good, "access-control-allow-methods") == "POST");
  CHECK(header(good, "access-control-allow-headers") == "content-type, x-tenant");
  CHECK(header(good, "access-control-max-age") == "60");
  for (const RequestHead& head : {asking("https://evil.net"), asking("https://a.example.com", "x-secret"),
                                  asking("https://a.example.com", "", "DELETE"), asking("")}) {
    const Response refused = preflight(kCors, head).value();
    CHECK(refused.status == 204);
    CHECK(header(refused, "access-control-allow-origin") == "-");
    CHECK(header(refused, "vary").find("Origin") != std::string::npos);
  }
  CHECK_FALSE(preflight({}, asking("https://a.example.com")));
  RequestHead post = asking("https://a.example.com");
  post.method = "POST";
  CHECK_FALSE(preflight(kCors, post));
}

TEST_CASE("answers to allowed origins may be read by the page", "[net]") {
  Response response;
  add_cors_headers(kCors, asking("https://a.example.com"), response);
  CHECK(header(response, "access-control-allow-origin") == "https://a.example.com");
  Response other;
  add_cors_headers(kCors, asking("https://evil.net"), other);
  CHECK(header(other, "access-control-allow-origin") == "-");
  Response off;
  add_cors_headers({}, asking("https://a.example.com"), off);
  CHECK(off.headers.empty());
}

TEST_CASE("every page may send without credentials, named ones with them", "[net]") {
  const CorsOptions any{.allowed_origins = {"*", "https://a.example.com"}};
  const Response stranger = preflight(any, asking("https://evil.net")).value();
  CHECK(header(stranger, "access-control-allow-origin") == "*");
  CHECK(header(stranger, "access-control-allow-credentials") == "-");
  CHECK(header(stranger, "access-control-allow-methods") == "POST");
  Response response;
  add_cors_headers(any, asking("https://evil.net"), response);
  CHECK(header(response, "access-control-allow-origin") == "*");
  CHECK(header(response, "access-control-allow-credentials") == "-");
  const Response named = preflight(any, asking("https://a.example.com")).value();
  CHECK(header(named, "access-control-allow-origin") == "https://a.example.com");
  CHECK(header(named, "access-control-allow-credentials") == "true");
}
