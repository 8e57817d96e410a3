// SPDX-License-Identifier: Apache-2.0
#include "net/client/host_lookup.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <future>
#include <optional>
#include <thread>

#include "component/net/echo_server.h"
#include "net/client/http_client.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

// A name server that answers when it is told to.
struct Slow {
  std::shared_ptr<std::promise<void>> go = std::make_shared<std::promise<void>>();
  std::shared_ptr<std::atomic<int>> asked = std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<std::promise<void>> left = std::make_shared<std::promise<void>>();

  HostLookup::Ask ask() const {
    return [wait = go->get_future().share(), n = asked, end = left](const std::string&) -> Result<HostAddresses> {
      if (++*n == 1) {
        wait.wait();
        end->set_value();
      }
      return HostAddresses{"127.0.0.1"};
    };
  }
};

}  // namespace

TEST_CASE("names are looked up by the system, and one that is none is told", "[net]") {
  boost::asio::io_context io;
  HostLookup lookup(io);
  std::vector<std::string> told;
  const auto found = [&](const Result<HostAddresses>& addresses) {
    told.push_back(addresses ? addresses->front() : addresses.error().text);
  };
  lookup.look_up("127.0.0.7", found);
  CHECK(told.empty());
  io.run();
  lookup.look_up("not a name", found);
  io.restart();
  io.run();
  REQUIRE(told.size() == 2);
  CHECK(told[0] == "127.0.0.7");
  CHECK(told[1] == "Name or service not known");
}

TEST_CASE("one name is asked once for all who want it, and who forgets is not told", "[net]") {
  boost::asio::io_context io;
  const Slow slow;
  HostLookup lookup(io, slow.ask());
  int told = 0;
  const auto found = [&](const Result<HostAddresses>&) { ++told; };
  std::uint64_t third = 0;
  lookup.look_up("a", [&](const Result<HostAddresses>&) {
    ++told;
    lookup.forget(third);
  });
  lookup.forget(lookup.look_up("a", found));
  third = lookup.look_up("a", found);
  lookup.look_up("b", found);
  slow.go->set_value();
  io.run();
  CHECK(told == 2);
  CHECK(*slow.asked == 2);
}

TEST_CASE("a name server that hangs does not hold up the end", "[net]") {
  const Slow slow;
  {
    boost::asio::io_context io;
    HostLookup lookup(io, slow.ask());
    HttpClientOptions options;
    options.names = &lookup;
    HttpClient client(io, *parse_http_url("http://a:1"), options);
    client.post({}, nullptr, 60s, [](const Result<HttpReply>&) { FAIL("called after its client was gone"); });
    io.run_for(10ms);
  }  // would wait for ever here
  slow.go->set_value();
  slow.left->get_future().wait();
  CHECK(*slow.asked == 1);
}

TEST_CASE("a thread may still ask when the process ends, and leaks nothing", "[net]") {
  const auto never = std::make_shared<std::promise<void>>();
  bool answered = false;
  {
    boost::asio::io_context io;
    HostLookup lookup(io, [wait = never->get_future().share(), never](const std::string&) -> Result<HostAddresses> {
      wait.wait();
      return HostAddresses{"127.0.0.1"};
    });
    lookup.look_up("a", [&](const Result<HostAddresses>&) { answered = true; });
    io.poll();
  }
  CHECK_FALSE(answered);
  CHECK(never.use_count() > 1);  // the thread lives on and holds what it asks; LeakSanitizer finds what nobody holds
}

TEST_CASE("the HTTP client goes on to the next address of a name when one takes no connection", "[net]") {
  EchoServer s;
  boost::asio::io_context io;
  HostLookup lookup(io, [](const std::string&) { return HostAddresses{"127.0.0.9", "::1", "127.0.0.1"}; });
  HttpClientOptions options;
  options.names = &lookup;
  HttpClient client(io, *parse_http_url("http://a:" + std::to_string(s.port())), options);
  std::optional<Result<HttpReply>> got;
  client.post({}, std::make_shared<std::string>("x"), 10s, [&](Result<HttpReply> r) { got = std::move(r); });
  while (!got && io.run_one() > 0) {
  }
  REQUIRE(got);
  REQUIRE(*got);
  CHECK((*got)->body == "x");
}
