// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "net/client/http_client.h"
#include "net/server/listen.h"

using namespace tailgate;

TEST_CASE("URLs of exporters", "[net]") {
  const auto url = parse_http_url("https://user.example:4318/v1/traces?x=1");
  REQUIRE(url);
  CHECK(url->tls);
  CHECK(url->host == "user.example");
  CHECK(url->port == "4318");
  CHECK(url->path == "/v1/traces?x=1");
  CHECK(url->authority() == "user.example:4318");
  CHECK(parse_http_url("http://a")->path == "/");
  CHECK(parse_http_url("http://a")->port == "80");
  CHECK(parse_http_url("https://a")->port == "443");
  CHECK(parse_http_url("http://a?q")->path == "/?q");
  CHECK(parse_http_url("http://[::1]:80/x")->host == "::1");
  CHECK(parse_http_url("http://[::1]:81/x")->authority() == "[::1]:81");
  for (const char* bad :
       {"", "a:4318", "ftp://a", "http://", "http://:80", "http://a:", "http://a:0", "http://a:65536", "http://a:8x",
        "http://u:p@a", "http://a/#f", "http://[::1", "http://[::1]x", "http://a b", "http://a\r\nX: y"}) {
    CAPTURE(bad);
    CHECK(!parse_http_url(bad));
  }
}

TEST_CASE("endpoints of receivers", "[net]") {
  CHECK(parse_endpoint("localhost:4317")->port == 4317);
  CHECK(parse_endpoint(":0")->host.empty());
  CHECK(parse_endpoint("[::1]:1")->host == "::1");
  CHECK(parse_endpoint("[::1]:1")->text() == "[::1]:1");
  for (const char* bad : {"", "a", "a:", "a:x", "a:70000", "::1:80", "[::1]", "http://a:80", "a:80 "}) {
    CAPTURE(bad);
    CHECK(!parse_endpoint(bad));
  }
}

TEST_CASE("Unix sockets are unix:// and an absolute path", "[net]") {
  CHECK(parse_endpoint("unix:///run/otlp.sock")->path == "/run/otlp.sock");
  CHECK(parse_endpoint("unix:///run/otlp.sock")->text() == "unix:///run/otlp.sock");
  CHECK(parse_http_url("unix:///run/otlp.sock")->socket_path == "/run/otlp.sock");
  CHECK(parse_http_url("unix:///run/otlp.sock")->authority() == "localhost");
  const std::string longest = "unix:///" + std::string(106, 'a');
  CHECK(parse_endpoint(longest));
  for (const std::string& bad : {std::string("unix://"), std::string("unix:///"), std::string("unix://run/otlp.sock"),
                                 std::string("unix:///run/"), longest + "a"}) {
    INFO(bad);
    CHECK(!parse_endpoint(bad));
    CHECK(!parse_http_url(bad));
  }
}
