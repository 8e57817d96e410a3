// SPDX-License-Identifier: Apache-2.0
#include "signals/service_graph.h"

#include <catch2/catch.hpp>

#include "support/service_graph_fixture.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

TEST_CASE("a client's span and its child at the server are an edge, in either order", "[signals]") {
  const Side client{.service = "web", .kind = kClient, .id = 5, .parent = 1, .ms = 200};
  const Side server{.service = "shop", .kind = kServer, .id = 6, .parent = 5, .ms = 50};
  const std::string labels = R"({client="web",server="shop",connection_type="")";
  for (const bool client_first : {true, false}) {
    CountedGraph graph("{latency_histogram_buckets: [100ms]}", 2);
    graph.add(client_first ? client : server, after_start(0s), 0);
    CHECK(graph.graph().stats().waiting == 1);
    graph.add(client_first ? server : client, after_start(1s), 1);
    CHECK(graph.graph().stats().waiting == 0);
    Lines expected = {
        "traces_service_graph_request_total" + labels + "} 1",
        "traces_service_graph_request_failed_total" + labels + "} 0",
        "traces_service_graph_request_server_seconds_bucket" + labels + ",le=\"0.1\"} 1",
        "traces_service_graph_request_server_seconds_bucket" + labels + ",le=\"+Inf\"} 1",
        "traces_service_graph_request_server_seconds_sum" + labels + "} 0.05",
        "traces_service_graph_request_server_seconds_count" + labels + "} 1",
        "traces_service_graph_request_client_seconds_bucket" + labels + ",le=\"0.1\"} 0",
        "traces_service_graph_request_client_seconds_bucket" + labels + ",le=\"+Inf\"} 1",
        "traces_service_graph_request_client_seconds_sum" + labels + "} 0.2",
        "traces_service_graph_request_client_seconds_count" + labels + "} 1",
    };
    std::sort(expected.begin(), expected.end());
    CHECK(graph.lines() == expected);
  }
}

TEST_CASE("a request failed if either side says so", "[signals]") {
  for (const bool at_client : {true, false}) {
    CountedGraph graph("{}");
    graph.add({.service = "web", .kind = kClient, .id = 5, .parent = 1, .failed = at_client});
    graph.add({.service = "shop", .id = 6, .parent = 5, .failed = !at_client});
    CHECK(lines_with(graph.lines(), "traces_service_graph_request_failed_total").at(0).ends_with("} 1"));
  }
}

TEST_CASE("a message's sender and receiver are an edge of a messaging system", "[signals]") {
  CountedGraph graph("{}");
  graph.add({.service = "web", .kind = kProducer, .id = 5});
  graph.add({.service = "mail", .kind = kConsumer, .id = 6, .parent = 5});
  graph.add({.service = "mail", .kind = kConsumer, .id = 7});  // nobody is known to have sent it
  CHECK(graph.requests() == Lines{R"({client="web",server="mail",connection_type="messaging_system"} 1)"});
}

TEST_CASE("spans of other traces, other parents and other kinds are no edge", "[signals]") {
  CountedGraph graph("{virtual_nodes: false}");
  graph.add({.service = "web", .kind = kClient, .trace = 1, .id = 5});
  graph.add({.service = "shop", .trace = 2, .id = 6, .parent = 5});
  graph.add({.service = "shop", .trace = 1, .id = 7, .parent = 4});
  graph.add({.service = "shop", .kind = kInternal, .trace = 1, .id = 8, .parent = 5});
  graph.add({.service = "", .trace = 1, .id = 9, .parent = 5});
  CHECK(graph.requests().empty());
  CHECK(graph.graph().stats().waiting == 3);
}

TEST_CASE("a call of a database is an edge at once, by the name that says most", "[signals]") {
  CountedGraph graph("{}");
  graph.add({.service = "web", .kind = kClient, .id = 1, .ms = 3, .attributes = {{"db.system", "redis"}}});
  graph.add({.service = "web",
             .kind = kClient,
             .id = 2,
             .attributes = {{"db.system", "mysql"}, {"db.name", "orders"}, {"server.address", "10.0.0.7"}}});
  graph.add({.service = "web",
             .kind = kClient,
             .id = 3,
             .attributes = {{"db.namespace", "orders"}, {"peer.service", "order-db"}, {"server.address", "10.0.0.7"}}});
  graph.add({.service = "web", .kind = kClient, .id = 4, .attributes = {{"db.name", "carts"}, {"db.system", "x"}}});
  CHECK(graph.requests() == Lines{R"({client="web",server="10.0.0.7",connection_type="database"} 1)",
                                  R"({client="web",server="carts",connection_type="database"} 1)",
                                  R"({client="web",server="order-db",connection_type="database"} 1)",
                                  R"({client="web",server="redis",connection_type="database"} 1)"});
  CHECK(lines_with(graph.lines(), R"(traces_service_graph_request_server_seconds_sum{client="web",server="redis")")
            .at(0)
            .ends_with(" 0.003"));
}

TEST_CASE("sides that send no spans are virtual nodes: who calls a root, and whom a client's attributes name",
          "[signals]") {
  CountedGraph graph("{store: {ttl: 5s}}");
  graph.add({.service = "web", .id = 1, .ms = 7}, after_start(0s));
  graph.add({.service = "web", .kind = kClient, .id = 2, .parent = 1, .attributes = {{"peer.service", "stripe"}}},
            after_start(1s));
  graph.add({.service = "web", .kind = kClient, .id = 3, .parent = 1}, after_start(1s));
  CHECK(graph.requests(after_start(5s)) == Lines{R"({client="user",server="web",connection_type="virtual_node"} 1)"});
  CHECK(graph.requests(after_start(6s)) == Lines{R"({client="user",server="web",connection_type="virtual_node"} 1)",
                                                 R"({client="web",server="stripe",connection_type="virtual_node"} 1)"});
  CHECK(graph.graph().stats().expired == 1);
  CHECK(graph.graph().stats().waiting == 0);
  // What was not seen is not measured.
  const auto counts = lines_with(graph.lines(after_start(6s)), "traces_service_graph_request_client_seconds_count");
  CHECK(counts == Lines{R"(traces_service_graph_request_client_seconds_count{client="user",server="web",)"
                        R"(connection_type="virtual_node"} 0)",
                        R"(traces_service_graph_request_client_seconds_count{client="web",server="stripe",)"
                        R"(connection_type="virtual_node"} 1)"});

  CountedGraph without("{virtual_nodes: false}");
  without.add({.service = "web", .id = 1});
  CHECK(without.requests(after_start(1min)).empty());
}

TEST_CASE("after a reload attributes are found in the slots of the new policies", "[signals]") {
  CountedGraph graph("{}");
  const auto call = [&](std::uint64_t id) {
    graph.add({.service = "web", .kind = kClient, .id = id, .attributes = {{"a", "wrong"}, {"db.system", "redis"}}});
  };
  call(1);
  for (const std::vector<std::string>& keys : {Lines{"a", "b"}, Lines{"a"}, Lines{}}) {
    graph.reload(keys);
    call(2);
    call(3);
  }
  CHECK(graph.requests() == Lines{R"({client="web",server="redis",connection_type="database"} 7)"});
}

TEST_CASE("a side that finds no room to wait is counted, and one that has waited enough makes room", "[signals]") {
  CountedGraph graph("{store: {max_items: 8, ttl: 2s}, virtual_nodes: false}");  // one in each of eight shards
  for (std::uint64_t id = 1; id <= 100; ++id)
    graph.add({.service = "web", .kind = kClient, .trace = id}, after_start(1s));
  CHECK(graph.graph().stats().waiting == 8);
  CHECK(graph.graph().stats().dropped_full == 92);
  for (std::uint64_t id = 1; id <= 100; ++id)
    graph.add({.service = "web", .kind = kClient, .trace = id + 100}, after_start(3s));
  CHECK(graph.graph().stats().expired == 8);
  CHECK(graph.graph().stats().waiting == 8);
}

TEST_CASE("a second child at a server waits in vain, and the same span twice counts once", "[signals]") {
  CountedGraph graph("{store: {ttl: 2s}}");
  graph.add({.service = "web", .kind = kClient, .id = 5, .parent = 1}, after_start(0s));
  graph.add({.service = "web", .kind = kClient, .id = 5, .parent = 1}, after_start(0s));
  graph.add({.service = "shop", .id = 6, .parent = 5}, after_start(0s));
  graph.add({.service = "shop", .id = 7, .parent = 5}, after_start(0s));
  CHECK(graph.requests(after_start(3s)) == Lines{R"({client="web",server="shop",connection_type=""} 1)"});
  CHECK(graph.graph().stats().replaced == 1);
  CHECK(graph.graph().stats().expired == 1);
}

TEST_CASE("edges and names beyond edges_max are counted, and edges that are silent go", "[signals]") {
  CountedGraph graph("{edges_max: 2, edge_expiration: 10m}");
  for (int i = 0; i < 4; ++i) graph.add({.service = "s" + std::to_string(i)}, after_start(0s));
  CHECK(graph.graph().stats().dropped_names == 2);  // s0, s1 and `user` have names
  CHECK(graph.requests(after_start(0s)).size() == 2);
  graph.add({.service = "s0", .kind = kClient, .id = 2, .attributes = {{"db.name", "s1"}}}, after_start(0s));
  CHECK(graph.graph().stats().overflow_requests == 1);
  CHECK(graph.requests(after_start(10min)).size() == 3);
  CHECK(graph.requests(after_start(10min)) == Lines{R"({otel_metric_overflow="true"} 1)"});
  CHECK(graph.graph().stats().expired_edges == 2);
}

TEST_CASE("a new edge reads 0 on the page that is scraped, and nowhere else", "[signals]") {
  CountedGraph graph("{start_at_zero: 1m, edge_expiration: 1m, store: {ttl: 1s}}");
  const auto requests = [&](Duration when) {
    Lines out;
    for (const std::string& line : graph.requests(after_start(when))) out.push_back(line.substr(line.rfind(' ') + 1));
    return out;
  };
  const auto edges = [&](Duration when) {
    std::vector<std::uint64_t> out;
    for (const ServiceGraph::Edge& edge : graph.graph().edges(after_start(when))) out.push_back(edge.requests);
    return out;
  };
  const std::vector<std::uint64_t> one = {1};
  graph.add({.service = "web"}, after_start(0s));
  CHECK(edges(0s) == one);
  CHECK(requests(30s) == Lines{"0"});
  CHECK(lines_with(graph.lines(after_start(31s)), "traces_service_graph_request_server_seconds_count")
            .at(0)
            .ends_with(" 0"));
  CHECK(graph.graph().calls(after_start(0s), after_start(40s), after_start(40s), 1).most.at(0).calls == 1);
  // Silent for long, but its value was not on the page yet, whoever else asks.
  CHECK(edges(70s) == one);
  CHECK(edges(80s) == one);
  CHECK(requests(90s) == Lines{"1"});
  CHECK(requests(91s).empty());
  // Nobody scrapes any more.
  graph.add({.service = "web"}, after_start(92s));
  CHECK(requests(92s) == Lines{"0"});
  CHECK(edges(211s) == one);
  CHECK(edges(212s) == one);
  CHECK(edges(213s).empty());
}

TEST_CASE("names that nothing uses any more make room for new ones, and those in use stay", "[signals]") {
  CountedGraph graph("{edges_max: 3, edge_expiration: 1m, store: {ttl: 1s}}");
  const auto call = [&](const std::string& from, const std::string& to, Duration when) {
    graph.add({.service = from, .kind = kClient, .id = 5, .parent = 1}, after_start(when));
    graph.add({.service = to, .id = 6, .parent = 5}, after_start(when));
  };
  call("web", "shop", 0s);
  graph.add({.service = "pod-1", .kind = kClient, .id = 7, .parent = 1}, after_start(0s));  // waits in vain
  call("web", "bank", 1s);
  CHECK(graph.graph().stats().dropped_names == 1);
  graph.graph().tick(after_start(10s));
  call("web", "bank", 11s);
  CHECK(graph.graph().stats().dropped_names == 2);
  for (Duration t = 20s; t <= 40s; t += 10s) graph.graph().tick(after_start(t));
  call("web", "bank", 41s);
  CHECK(graph.graph().stats().dropped_names == 2);
  CHECK(graph.requests(after_start(41s)) == Lines{R"({client="web",server="bank",connection_type=""} 1)",
                                                  R"({client="web",server="shop",connection_type=""} 1)"});
  // The names of edges that are gone stay as long as the calls of a day are known by them.
  for (Duration t = 1h; t < 3h; t += 10s) graph.graph().tick(after_start(t));
  CHECK(graph.requests(after_start(3h)).empty());
  call("web", "late", 3h);
  CHECK(graph.graph().stats().dropped_names == 3);
  for (Duration t = 3h; t < 30h; t += 10min) graph.graph().tick(after_start(t));
  call("web", "late", 30h);
  CHECK(graph.graph().stats().dropped_names == 3);
  CHECK(graph.requests(after_start(30h)) == Lines{R"({client="web",server="late",connection_type=""} 1)"});
}

TEST_CASE("calls between services are known by the half hour", "[signals]") {
  CountedGraph graph("{edge_expiration: 1m}");
  const auto calls = [&](Duration from, Duration to, Duration now) {
    Lines out;
    for (const ServiceCalls& one : graph.graph().calls(after_start(from), after_start(to), after_start(now), 9).most)
      out.push_back(one.client + " " + one.server + " " + std::to_string(one.calls));
    return out;
  };
  const auto call = [&](Duration when) {
    graph.add({.service = "web", .kind = kClient, .id = 5, .parent = 1}, after_start(when));
    graph.add({.service = "shop", .id = 6, .parent = 5}, after_start(when));
    graph.graph().tick(after_start(when));
  };
  call(1min);
  call(2min);
  CHECK(calls(0min, 5min, 5min) == Lines{"web shop 2"});
  CHECK(calls(0min, 5min, 7min) == Lines{"web shop 2"});  // the edge has expired, the calls have not
  CHECK(graph.graph().stats().edges == 0);
  graph.graph().tick(after_start(30min));
  call(40min);
  CHECK(calls(0min, 41min, 41min) == Lines{"web shop 3"});
  CHECK(calls(31min, 41min, 41min) == Lines{"web shop 1"});
  CHECK(calls(0min, 29min, 41min) == Lines{"web shop 2"});
  for (Duration t = 1h; t < 30h; t += 30min) graph.graph().tick(after_start(t));
  CHECK(calls(0min, 30h, 30h).empty());
}

TEST_CASE("what is remembered of half an hour has a bound, whatever expires in it", "[signals]") {
  CountedGraph graph("{edges_max: 3, edge_expiration: 1m, database_name_attributes: [db.name]}");
  // Three services, so nine pairs of them; no more than two at a time are edges.
  std::uint64_t requests = 0;
  const auto listed = [&](Duration from, Duration to) {
    std::uint64_t out = 0;
    for (const ServiceCalls& one : graph.graph().calls(after_start(from), after_start(to), after_start(to), 9).most)
      out += one.calls;
    return out;
  };
  Duration now = 0s;
  for (const char* from : {"a", "b", "c"}) {
    for (const char* to : {"a", "b", "c"}) {
      for (int i = 0; i < 2; ++i, ++requests)
        graph.add({.service = from, .kind = kClient, .id = 2, .attributes = {{"db.name", to}}}, after_start(now));
      now += 1min;
      graph.lines(after_start(now));
    }
  }
  CHECK(graph.graph().stats().overflow_requests == 0);
  CHECK(graph.graph().calls(after_start(0s), after_start(now), after_start(now), 9).most.size() == 3);
  CHECK(listed(0s, now) == 6);
  CHECK(graph.graph().stats().unlisted == requests - 6);
  for (Duration t = now; t < 40min; t += 1min) graph.graph().tick(after_start(t));
  graph.add({.service = "c", .kind = kClient, .id = 2, .attributes = {{"db.name", "c"}}}, after_start(41min));
  CHECK(listed(40min, 41min) == 1);
  CHECK(listed(0s, 41min) == 7);
}

TEST_CASE("where an answer has no room for all pairs it has those with the most calls", "[signals]") {
  CountedGraph graph("{database_name_attributes: [db.name]}");
  for (const auto& [to, calls] : {std::pair("a", 2), std::pair("b", 5), std::pair("c", 1), std::pair("d", 4)}) {
    for (int i = 0; i < calls; ++i)
      graph.add({.service = "web", .kind = kClient, .id = 2, .attributes = {{"db.name", to}}}, after_start(0s));
  }
  const auto told = [&](std::size_t max) {
    const ServiceGraph::Calls calls = graph.graph().calls(after_start(0s), after_start(1s), after_start(1s), max);
    Lines out = {std::to_string(calls.left_out)};
    for (const ServiceCalls& one : calls.most) out.push_back(one.server + " " + std::to_string(one.calls));
    return out;
  };
  CHECK(told(4) == Lines{"0", "a 2", "b 5", "c 1", "d 4"});
  CHECK(told(2) == Lines{"3", "b 5", "d 4"});
  graph.graph().tick(after_start(31min));
  CHECK(told(2) == Lines{"3", "b 5", "d 4"});
}

TEST_CASE("the keys of the service graph", "[signals]") {
  const ServiceGraphConfig config = *ReadServiceGraph("{}").config;
  CHECK(config.bounds_ns.front() == 100'000'000);
  CHECK(config.bounds_ns.back() == 12'800'000'000);
  CHECK(config.ttl == 10s);
  const auto error = [](const std::string& yaml) {
    const ReadServiceGraph read(yaml);
    INFO(yaml);
    REQUIRE(read.errors.size() == 1);
    return read.errors[0];
  };
  CHECK(error("{store: {ttl: 1ms}}").find("store.ttl") != std::string::npos);
  CHECK(error("{store: {ttl: 2h}}").find("expected at most 1h") != std::string::npos);
  CHECK(error("{store: {max_items: 0}}").find("max_items") != std::string::npos);
  CHECK(error("{edge_expiration: 5s}").find("at least 1m") != std::string::npos);
  CHECK(error("{start_at_zero: 20m}").find("start_at_zero: expected at most edge_expiration") != std::string::npos);
  CHECK(error("{latency_histogram_buckets: []}").find("expected 1 to 64 durations") != std::string::npos);
  CHECK(error("{dimension: [a]}").find("dimension") != std::string::npos);
}
