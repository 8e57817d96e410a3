// SPDX-License-Identifier: Apache-2.0
// endpoint: keeps traces by the endpoints they went through, each with a latency and a share of its own.
//     - name: api
//       type: endpoint
//       endpoint:
//         - {name: pay, service: checkout, route: /pay/*, latency: 300ms, percentage: 100}
//         - {service: checkout, route: /pay/*, error: true}
//         - {service: "*", route: /healthz, percentage: 0}
// A span matches an entry if it is of that service, its http.route (or, with `span:`, its name) matches, it lasted
// longer than `latency` and, with `error: true`, its status is ERROR. The first entry that some span matches decides,
// with its share; 0 keeps none. `*` stands for anything without '/', `**` for anything.
#include <fmt/format.h>

#include <set>

#include "base/units.h"
#include "decide/glob.h"
#include "decide/policies/probabilistic.h"
#include "decide/registry.h"
#include "decide/words.h"
#include "model/span_times.h"

namespace tailgate {
namespace {

class MatchesEntry final : public SpanPredicate {
 public:
  std::unique_ptr<Glob> service;  // null: any
  std::size_t service_slot = 0;
  std::unique_ptr<Glob> route, span;
  std::size_t route_slot = 0;
  std::int64_t longer_than_ns = 0;
  bool any_duration = true;
  bool error = false;

  bool on_resource(const ByteView*) const override { return false; }
  bool on_span(const SpanFields& f) const override {
    if (error && f.status_code != static_cast<std::int32_t>(StatusCode::kError)) return false;
    if (!any_duration && duration_ns(f.start_ns, f.end_ns) <= longer_than_ns) return false;
    if (route != nullptr && !matches(*route, f.attributes[route_slot])) return false;
    if (span != nullptr && !span->matches(f.name)) return false;
    return service == nullptr || matches(*service, f.context->resource_attributes[service_slot]);
  }

 private:
  static bool matches(const Glob& glob, ByteView key_value) {
    if (key_value.data() == nullptr) return false;
    const std::optional<ByteView> text = string_value(key_value);
    return text && glob.matches(*text);
  }
};

struct Entry {
  std::size_t bit;
  Chance chance;
  std::uint16_t number = 0;  // part_number
  std::string name = {};     // for people: `entry pay`, or `entry 2` for one without a name
  std::string wanted = {};   // in words
};

class Endpoint final : public Policy {
 public:
  explicit Endpoint(std::vector<Entry> entries) : entries_(std::move(entries)) {}
  Ballot evaluate(const JudgedTrace& trace) const override {
    const Entry* const match = first_match(trace);
    if (match == nullptr) return ballot(false);
    Ballot kept = match->chance.ask(trace);
    kept.part = match->number;
    return kept;
  }
  std::string why(const AskedVote& asked) const override {
    if (const Entry* const match = first_match(asked.trace); match != nullptr)
      return decided_words(match->name, "a span " + match->wanted, match->chance.why(asked.trace));
    std::string out;
    for (const Entry& entry : entries_) out += (out.empty() ? "no span " : ", none ") + entry.wanted;
    return cut_words(out);
  }
  int deciding_bit(const JudgedTrace& trace) const override {
    const Entry* const match = first_match(trace);
    return match != nullptr ? static_cast<int>(match->bit) : -1;
  }

 private:
  const Entry* first_match(const JudgedTrace& trace) const {
    for (const Entry& entry : entries_) {
      if (trace.bit(entry.bit)) return &entry;
    }
    return nullptr;
  }
  std::vector<Entry> entries_;
};

}  // namespace

PolicyPtr make_endpoint(const ConfigNode& entry, PolicyBuild& build) {
  std::vector<Entry> entries;
  const std::vector<ConfigNode> items = entry.child("endpoint").items();
  if (items.empty())
    entry.error("endpoint", "expected a list of endpoints: {service, route or span, latency, percentage}");
  std::set<std::string> names;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const ConfigNode& item = items[i];
    if (!item.is_map()) {
      item.error("expected an endpoint: {service, route or span, latency, percentage}");
      continue;
    }
    auto predicate = std::make_unique<MatchesEntry>();
    const std::string name = read_part_name(item, names);
    const std::string service = item.text("service", "*");
    const std::string route = item.text("route");
    const std::string span = item.text("span");
    if (route.empty() == span.empty())
      item.error(route.empty() ? "route" : "span", "expected either `route` or `span`");
    if (service != "*") {
      predicate->service = std::make_unique<Glob>(service);
      predicate->service_slot = build.plan.attribute_slot("service.name", Attributes::kOfResources);
    }
    if (!route.empty()) {
      predicate->route = std::make_unique<Glob>(route);
      predicate->route_slot = build.plan.attribute_slot("http.route", Attributes::kOfSpans);
    }
    if (!span.empty()) predicate->span = std::make_unique<Glob>(span);
    for (const Glob* glob : {predicate->service.get(), predicate->route.get(), predicate->span.get()}) {
      if (glob != nullptr && !glob->good()) item.error("expected shorter patterns");
    }
    predicate->any_duration = item.child("latency").is_null();
    predicate->longer_than_ns = item.duration("latency", Duration::zero()).count();
    predicate->error = item.boolean("error", false);
    const double percentage = item.number("percentage", 100);
    if (!(percentage >= 0 && percentage <= 100)) item.error("percentage", "expected 0 to 100");
    item.finish();
    const std::string attribute = route.empty() ? "name" : "http.route";
    std::string wanted = fmt::format("of service {} with {} {}", service, route.empty() ? "name" : "route",
                                     route.empty() ? span : route);
    if (!predicate->any_duration) wanted += " longer than " + format_duration(Duration(predicate->longer_than_ns));
    if (predicate->error) wanted += " with status ERROR";
    entries.push_back({build.plan.add(std::move(predicate), attribute), Chance(percentage, "", build.use_tracestate),
                       part_number(build, name), part_words("entry", name, i), std::move(wanted)});
  }
  return std::make_unique<Endpoint>(std::move(entries));
}

}  // namespace tailgate
