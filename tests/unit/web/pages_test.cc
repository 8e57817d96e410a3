// SPDX-License-Identifier: Apache-2.0
#include "web/pages.h"

#include <catch2/catch.hpp>
#include <string>

#include "net/http/grpc.h"
#include "web/api.h"
#include "web/page.h"
#include "web/params.h"

using namespace tailgate;

namespace {

RequestHead request(std::string method, std::string target) {
  RequestHead head;
  head.method = std::move(method);
  head.target = std::move(target);
  return head;
}

Response text(std::string body) {
  Response response;
  response.body = std::move(body);
  return response;
}

std::string ask(Pages& pages, const RequestHead& head, std::string_view body = {}) {
  const Admission admission = pages.admit(head);
  if (admission.refusal) return std::to_string(admission.refusal->status) + " " + admission.refusal->body;
  BodyBuffer buffer;
  if (body.size() > admission.body_bytes_max || !buffer.append(body)) return "413";
  Response response;
  pages.handle(head, buffer, response);
  return std::to_string(response.status) + " " + response.body;
}

}  // namespace

TEST_CASE("a path that ends with a slash takes what is under it, the longest one first", "[web]") {
  Pages pages;
  for (const char* path : {"/", "/a", "/a/", "/a/b/"}) {
    pages.add(path, [path](const RequestHead&) { return text(path); });
  }
  CHECK(ask(pages, request("GET", "/")) == "200 /");
  CHECK(ask(pages, request("GET", "/a?x=/q/")) == "200 /a");
  CHECK(ask(pages, request("GET", "/a/")) == "200 /a/");
  CHECK(ask(pages, request("GET", "/a/x/y/z")) == "200 /a/");
  CHECK(ask(pages, request("HEAD", "/a/b/c")) == "200 /a/b/");
  CHECK(ask(pages, request("GET", "/b")).starts_with("404 not found; here are /, /a, /a/, /a/b/"));
  CHECK(ask(pages, request("GET", "")).starts_with("404"));
  CHECK(ask(pages, request("POST", "/a")).starts_with("405 expected GET"));
  CHECK(pages.refused().at("unsupported") == 3);
}

TEST_CASE("a page takes POST only where it says so, and a body no larger than that", "[web]") {
  Pages pages;
  pages.add("/both", [](const RequestHead&) { return text("got"); });
  pages.add_post("/both", 5, [](const RequestHead&, ByteView body) { return text("posted " + std::string(body)); });
  pages.add_post("/post", 5, [](const RequestHead&, ByteView) { return text(""); });
  CHECK(ask(pages, request("GET", "/both")) == "200 got");
  CHECK(ask(pages, request("POST", "/both"), "12345") == "200 posted 12345");
  CHECK(ask(pages, request("POST", "/both"), "123456") == "413");
  CHECK(ask(pages, request("GET", "/post")).starts_with("405 expected POST"));
}

TEST_CASE("a gRPC method gets its message, and others are told that there is none", "[web]") {
  Pages pages;
  pages.add_call("/a.B/C", 10, [](const RequestHead&, ByteView message) { return grpc_response({}, message); });
  RequestHead head = request("POST", "/a.B/C");
  head.is_http2 = true;
  head.headers.add("content-type", "application/grpc");
  CHECK(ask(pages, head, grpc_frame("hello")) == "200 " + grpc_frame("hello"));
  head.target = "/a.B/D";
  const Admission none = pages.admit(head);
  REQUIRE(none.refusal);
  CHECK(none.refusal->trailers.front() == std::pair<std::string, std::string>("grpc-status", "12"));
  head.is_http2 = false;
  head.target = "/a.B/C";
  CHECK(ask(pages, head).starts_with("404"));
}

TEST_CASE("other sites may link to a page, but their scripts and forms get nothing", "[web]") {
  Pages pages;
  pages.add("/a", [](const RequestHead&) { return text("got"); });
  pages.add_post("/a", 5, [](const RequestHead&, ByteView) { return text("posted"); });
  const auto from = [&](const char* method, const char* site, const char* mode) {
    RequestHead head = request(method, "/a");
    head.headers.add("sec-fetch-site", site);
    head.headers.add("sec-fetch-mode", mode);
    return ask(pages, head).substr(0, 3);
  };
  CHECK(from("GET", "same-origin", "cors") == "200");
  CHECK(from("POST", "same-origin", "cors") == "200");
  CHECK(from("GET", "none", "navigate") == "200");
  CHECK(from("GET", "cross-site", "navigate") == "200");
  CHECK(from("GET", "cross-site", "no-cors") == "403");
  CHECK(from("GET", "same-site", "cors") == "403");
  CHECK(from("POST", "cross-site", "navigate") == "403");
}

TEST_CASE("a form of another site is known by its origin where the browser says no more", "[web]") {
  Pages pages;
  pages.answer_only_to({"tailgate.example"});
  pages.add_post("/a", 5, [](const RequestHead&, ByteView) { return text("posted"); });
  const auto from = [&](const char* origin, const char* host) {
    RequestHead head = request("POST", "/a");
    head.headers.add("origin", origin);
    head.headers.add("host", host);
    return ask(pages, head).substr(0, 3);
  };
  CHECK(from("http://localhost:16680", "localhost:16680") == "200");
  CHECK(from("http://tailgate.example", "127.0.0.1:16680") == "200");  // by a proxy
  for (const char* other : {"http://evil.example", "http://localhost:3000", "null", ""}) {
    CAPTURE(other);
    CHECK(from(other, "localhost:16680") == (*other == 0 ? "200" : "403"));
  }
}

TEST_CASE("a page that other machines have no names for is not there under a name of another site", "[web]") {
  Pages pages;
  pages.add("/a", [](const RequestHead&) { return text("got"); });
  const auto as = [&](const std::string& host) {
    RequestHead head = request("GET", "/a");
    head.headers.add("host", host);
    return ask(pages, head);
  };
  CHECK(as("evil.example") == "200 got");
  pages.answer_only_to({"tailgate.example"});
  for (const char* host : {"localhost", "localhost:16680", "LocalHost.:1", "a.localhost", "127.0.0.1:16680",
                           "[::1]:16680", "::1", "192.0.2.7:80", "tailgate.example:443", "Tailgate.Example", ""}) {
    CAPTURE(host);
    CHECK(as(host) == "200 got");
  }
  for (const char* host : {"evil.example", "evil.example:16680", "localhost.evil.example", "127.0.0.1.evil.example",
                           "notlocalhost", "tailgate.example.evil", "[evil.example]:1", "127.0.0.1@evil"}) {
    CAPTURE(host);
    CHECK(as(host).substr(0, 3) == "421");
  }
  CHECK(as("evil.example") ==
        "421 expected the address of this machine or a name listed in web.hosts as the host, got 'evil.example'\n");
}

TEST_CASE("a loopback host is told by its name", "[web]") {
  for (const char* host : {"localhost", "127.0.0.1", "127.1.2.3", "::1"}) CHECK(is_loopback_host(host));
  for (const char* host : {"", "*", "0.0.0.0", "127.evil.example", "::", "tailgate"})
    CHECK_FALSE(is_loopback_host(host));
}

TEST_CASE("the page is served with a policy that allows nothing from elsewhere", "[web]") {
  Pages pages;
  add_page(pages);
  CHECK(ask(pages, request("GET", "/")).find("<title>Tailgate</title>") != std::string::npos);
  CHECK(ask(pages, request("GET", "/trace/4bf92f3577b34da6a3ce929d0e0e4736")) == ask(pages, request("GET", "/")));
  BodyBuffer none;
  for (const Asset& asset : page_assets()) {
    CAPTURE(asset.name);
    CHECK(asset.bytes.find("innerHTML =") == std::string_view::npos);
    CHECK(asset.bytes.find("style=") == std::string_view::npos);  // the policy forbids it
    for (const char* scheme : {"src=\"http", "href=\"http", "url(http", "from 'http", "import 'http"}) {
      CHECK(asset.bytes.find(scheme) == std::string_view::npos);
    }
    if (asset.name == "index.html") continue;
    RequestHead head = request("GET", "/page/" + std::string(asset.name));
    Response response;
    pages.handle(head, none, response);
    CHECK(response.body == asset.bytes);
    std::string tag, policy;
    for (const auto& [name, value] : response.headers) {
      if (name == "etag") tag = value;
      if (name == "content-security-policy") policy = value;
    }
    CHECK(policy.find("default-src 'none'") != std::string::npos);
    CHECK(policy.find("unsafe") == std::string::npos);
    head.headers.add("if-none-match", tag);
    Response same;
    pages.handle(head, none, same);
    CHECK(same.status == 304);
    CHECK(same.body.empty());
    // Whatever the page needs is named in it, so that it is asked for at once.
    CHECK(ask(pages, request("GET", "/")).find("=\"/page/" + std::string(asset.name) + '"') != std::string::npos);
  }
}

TEST_CASE("the page of a trace has the browser ask for the trace at once", "[web]") {
  Pages pages;
  add_page(pages);
  const auto link = [&](const std::string& path) {
    BodyBuffer none;
    Response response;
    pages.handle(request("GET", path), none, response);
    for (const auto& [name, value] : response.headers) {
      if (name == "link") return value;
    }
    return std::string();
  };
  CHECK(link("/trace/4BF92F3577B34DA6?span=00f067aa0ba902b7") ==
        "</api/trace/00000000000000004bf92f3577b34da6>; rel=preload; as=fetch; crossorigin=anonymous");
  for (const char* other : {"/", "/trace/", "/trace/x>;%0d%0a", "/trace/00"}) CHECK(link(other).empty());
}

TEST_CASE("the page gets metrics and policies, whose texts are JSON strings", "[web]") {
  Pages pages;
  add_api(
      pages, [] { return std::string("a 1\n"); },
      [] {
        return std::vector<LoadedPolicy>{{"</script>\"", "name: x\n"}};
      },
      true);
  CHECK(ask(pages, request("GET", "/api/metrics")) == "200 a 1\n");
  CHECK(ask(pages, request("GET", "/api/policies")).find(R"("past":true)") != std::string::npos);
  CHECK(ask(pages, request("GET", "/api/policies")).find(R"("name":"</script>\"","yaml":"name: x\n")") !=
        std::string::npos);
}

TEST_CASE("parameters have a type and bounds, and errors name them", "[web]") {
  const auto error_of = [](std::string_view query) {
    Params params(query);
    params.text("service");
    params.number("limit", 20, 1, 100);
    params.duration_ns("min");
    params.flag("pretty");
    params.choice("status", "", {"error", "ok"});
    const Result<void> good = params.finish();
    return good ? std::string("good") : good.error().text;
  };
  CHECK(error_of("") == "good");
  CHECK(error_of("service=a+b%20c&limit=100&min=1.5s&pretty&status=ok&&") == "good");
  CHECK(error_of("limit=0") == "limit: expected 1 to 100, got '0'");
  CHECK(error_of("limit=101") == "limit: expected 1 to 100, got '101'");
  CHECK(error_of("limit=1x") == "limit: expected 1 to 100, got '1x'");
  CHECK(error_of("limit=") == "good");  // Jaeger and Grafana send keys without a value
  CHECK(error_of("min=-1s") == "min: expected a duration like 1.5s or 300ms, got '-1s'");
  CHECK(error_of("min=7") == "min: expected a duration like 1.5s or 300ms, got '7'");
  CHECK(error_of("pretty=2") == "pretty: expected true or false, got '2'");
  CHECK(error_of("status=bad") == "status: expected error or ok, got 'bad'");
  CHECK(error_of("other=1") == "expected service, limit, min, pretty or status, got 'other'");
  CHECK(error_of("service=" + std::string(Params::kValueMax + 1, 'x')).starts_with("service: expected at most"));
  std::string many;
  for (std::size_t i = 0; i <= Params::kParamsMax; ++i) many += "service=x&";
  CHECK(error_of(many) == "expected at most 100 parameters");

  Params params("tag=a%3Ab&tag=c&service=x+y&min=2ms");
  CHECK(params.all("tag") == std::vector<std::string>{"a:b", "c"});
  CHECK(params.text("service") == "x y");
  CHECK(params.duration_ns("min") == 2'000'000);
  CHECK_FALSE(params.text_if("none"));
}
