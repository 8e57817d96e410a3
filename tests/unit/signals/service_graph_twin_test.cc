// SPDX-License-Identifier: Apache-2.0
// Generated traces, their spans shuffled over many requests, against edges that are found with all spans at hand.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "support/random_otlp.h"
#include "support/service_graph_fixture.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

constexpr std::array<std::uint64_t, 3> kGraphBoundsMs = {5, 20, 100};

struct Sums {
  std::uint64_t requests = 0, failed = 0;
  std::array<std::uint64_t, 4> server{}, client{};  // as `le`
  std::uint64_t server_ms = 0, client_ms = 0;
};

void observe(std::uint64_t ms, std::array<std::uint64_t, 4>& up_to, std::uint64_t& sum) {
  for (std::size_t b = 0; b < 4; ++b) up_to[b] += b == 3 || ms <= kGraphBoundsMs[b];
  sum += ms;
}

class OfflineGraph {
 public:
  explicit OfflineGraph(const std::vector<Side>& sides) {
    std::map<std::pair<std::uint64_t, std::uint64_t>, const Side*> servers;
    for (const Side& s : sides) {
      if (s.kind == kServer || s.kind == kConsumer) servers[{s.trace, s.parent}] = &s;
    }
    for (const Side& s : sides) {
      if (s.kind == kServer && s.parent == 0) add("user", s.service, "virtual_node", nullptr, &s);
      if (s.kind != kClient && s.kind != kProducer) continue;
      const auto value = [&](const char* key) {
        for (const auto& [k, v] : s.attributes) {
          if (k == key) return v;
        }
        return std::string();
      };
      const auto found = servers.find({s.trace, s.id});
      if (!value("db.name").empty()) {
        add(s.service, value("peer.service").empty() ? value("db.name") : value("peer.service"), "database", &s, &s);
      } else if (found != servers.end()) {
        const Side& server = *found->second;
        const bool messages = s.kind == kProducer || server.kind == kConsumer;
        add(s.service, server.service, messages ? "messaging_system" : "", &s, &server);
      } else if (!value("peer.service").empty()) {
        add(s.service, value("peer.service"), "virtual_node", &s, nullptr);
      }
    }
  }

  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    const std::string name = "traces_service_graph_request_";
    for (const auto& [labels, sums] : sums_) {
      const auto line = [&, l = labels](const std::string& of, const std::string& le, const std::string& value) {
        out.push_back(name + of + "{" + l + (le.empty() ? "" : ",le=\"" + le + "\"") + "} " + value);
      };
      line("total", "", std::to_string(sums.requests));
      line("failed_total", "", std::to_string(sums.failed));
      for (const bool server : {true, false}) {
        const std::string of = server ? "server_seconds_" : "client_seconds_";
        const auto& up_to = server ? sums.server : sums.client;
        for (std::size_t b = 0; b < 4; ++b) {
          const std::string le = b < 3 ? number_text(static_cast<double>(kGraphBoundsMs[b]) / 1000, false) : "+Inf";
          line(of + "bucket", le, std::to_string(up_to[b]));
        }
        line(of + "count", "", std::to_string(up_to[3]));
        const std::uint64_t ms = server ? sums.server_ms : sums.client_ms;
        line(of + "sum", "", number_text(static_cast<double>(ms * 1'000'000) / 1e9, false));
      }
    }
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  void add(const std::string& client, const std::string& server, const std::string& type, const Side* c,
           const Side* s) {
    Sums& sums = sums_["client=\"" + client + "\",server=\"" + server + "\",connection_type=\"" + type + "\""];
    ++sums.requests;
    sums.failed += (c != nullptr && c->failed) || (s != nullptr && s->failed);
    if (s != nullptr) observe(s->ms, sums.server, sums.server_ms);
    if (c != nullptr) observe(c->ms, sums.client, sums.client_ms);
  }

  std::map<std::string, Sums> sums_;
};

std::vector<Side> random_sides(std::size_t traces_wanted, Random& r) {
  std::vector<Side> out;
  for (std::uint64_t trace = 1; trace <= traces_wanted; ++trace) {
    std::uint64_t id = 1;
    const auto side = [&](int kind, std::uint64_t parent) {
      out.push_back({.service = "s" + std::to_string(r.below(9)),
                     .kind = kind,
                     .trace = trace,
                     .id = id,
                     .parent = parent,
                     .ms = r.below(150),
                     .failed = r.one_in(10)});
      return id++;
    };
    if (!r.one_in(5)) side(kServer, 0);
    for (std::uint64_t calls = r.below(8); calls != 0; --calls) {
      const bool message = r.one_in(4);
      const std::uint64_t client = side(message ? kProducer : kClient, 1);
      if (r.one_in(3)) out.back().attributes.emplace_back("peer.service", "peer-" + std::to_string(r.below(3)));
      if (r.one_in(4)) {
        out.back().attributes.emplace_back("db.name", "db-" + std::to_string(r.below(3)));
        continue;  // nothing below it
      }
      if (r.one_in(4)) side(kInternal, client);
      if (!r.one_in(5)) side(message ? kConsumer : kServer, client);
    }
  }
  for (std::size_t i = out.size(); i > 1; --i) std::swap(out[i - 1], out[r.below(i)]);
  return out;
}

}  // namespace

TEST_CASE("the edges of shuffled spans are those that are found with all spans at hand", "[signals]") {
  Random r(21);
  CountedGraph graph("{latency_histogram_buckets: [5ms, 20ms, 100ms], store: {ttl: 30m}}", 3);
  const std::vector<Side> sides = random_sides(6000, r);
  REQUIRE(sides.size() > 30'000);
  std::uint64_t n = 0;
  for (const Side& side : sides) graph.add(side, TimePoint{} + std::chrono::milliseconds(n++ / 100), r.below(3));
  CHECK(graph.lines(TimePoint{} + 1h) == OfflineGraph(sides).lines());
  CHECK(graph.graph().stats().waiting == 0);
  CHECK(graph.graph().stats().replaced == 0);
  CHECK(graph.graph().stats().dropped_full == 0);
}
