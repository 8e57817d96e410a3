// SPDX-License-Identifier: Apache-2.0
#include "sim/policy_twin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <regex>
#include <set>

namespace tailgate::test {
namespace {

// --- reading a trace

template <class Attributes>
const twin::AnyValue* attribute(const Attributes& attributes, const std::string& key) {
  for (const twin::KeyValue& a : attributes) {
    if (a.key() == key) return &a.value();  // the first counts
  }
  return nullptr;
}

std::int64_t int_of(const twin::AnyValue& v) { return v.value_case() == twin::AnyValue::kIntValue ? v.int_value() : 0; }
bool bool_of(const twin::AnyValue& v) { return v.value_case() == twin::AnyValue::kBoolValue && v.bool_value(); }
std::string text_of(const twin::AnyValue& v) {
  return v.value_case() == twin::AnyValue::kStringValue ? v.string_value() : "";
}

template <class Test>
bool any_span(const TwinTrace& trace, Test&& test) {
  for (const TwinBatch& batch : trace.batches) {
    for (const auto& [scope, span] : batch.spans) {
      if (test(*span)) return true;
    }
  }
  return false;
}

// A resource or a span has the attribute, and what is asked of it is true.
template <class OnResource, class OnSpan>
bool any_attribute(const TwinTrace& trace, const std::string& key, OnResource&& on_resource, OnSpan&& on_span) {
  for (const TwinBatch& batch : trace.batches) {
    const twin::AnyValue* of_resource = attribute(batch.resource_spans->resource().attributes(), key);
    if (of_resource != nullptr && on_resource(*of_resource)) return true;
  }
  return any_span(trace, [&](const twin::Span& span) {
    const twin::AnyValue* of_span = attribute(span.attributes(), key);
    return of_span != nullptr && on_span(*of_span);
  });
}

std::int64_t span_count(const TwinTrace& trace) {
  std::int64_t n = 0;
  for (const TwinBatch& batch : trace.batches) n += static_cast<std::int64_t>(batch.spans.size());
  return n;
}

std::int64_t bytes_of(const TwinTrace& trace) {
  std::int64_t bytes = 0;
  for (const TwinBatch& batch : trace.batches) {
    twin::TracesData data;
    twin::ResourceSpans& out = *data.add_resource_spans();
    out = *batch.resource_spans;
    out.clear_scope_spans();
    const twin::ScopeSpans* last = nullptr;
    for (const auto& [scope, span] : batch.spans) {
      if (scope != last) {
        twin::ScopeSpans& group = *out.add_scope_spans();
        group = *scope;
        group.clear_spans();
        last = scope;
      }
      *out.mutable_scope_spans(out.scope_spans_size() - 1)->add_spans() = *span;
    }
    bytes += static_cast<std::int64_t>(data.ByteSizeLong());
  }
  return bytes;
}

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == by) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::optional<std::string> tracestate_entry(const std::string& state, const std::string& wanted) {
  static const std::regex key_form("([a-z][a-z0-9_*/-]{0,255})|([a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})");
  static const std::regex value_form("[\\x20-\\x2b\\x2d-\\x3c\\x3e-\\x7e]{0,255}[\\x21-\\x2b\\x2d-\\x3c\\x3e-\\x7e]");
  std::map<std::string, std::string> entries;
  for (const std::string& member : split(state, ',')) {
    if (member.empty()) continue;
    const auto equals = member.find('=');
    if (equals == std::string::npos) return std::nullopt;
    const std::string key = std::regex_replace(member.substr(0, equals), std::regex("^[ \\t]+"), "");
    const std::string value = std::regex_replace(member.substr(equals + 1), std::regex("[ \\t]+$"), "");
    if (!std::regex_match(key, key_form) || !std::regex_match(value, value_form)) return std::nullopt;
    if (!entries.emplace(key, value).second || entries.size() > 32) return std::nullopt;
  }
  const auto it = entries.find(wanted);
  return it != entries.end() ? std::optional(it->second) : std::nullopt;
}

std::uint64_t randomness(const TwinTrace& trace) {
  std::uint64_t value = 0;
  for (std::size_t i = 9; i < 16; ++i) value = value << 8 | static_cast<unsigned char>(trace.id[i]);
  any_span(trace, [&](const twin::Span& span) {
    static const std::regex rv("(?:^|,)[ \\t]*ot=(?:[^,]*;)?rv:([0-9a-f]{14})(?:;[^,]*)?[ \\t]*(?:,|$)");
    std::smatch match;
    const std::string state = span.trace_state();
    if (!std::regex_search(state, match, rv)) return false;
    value = std::stoull(match[1], nullptr, 16);
    return true;
  });
  return value;
}

bool hash_keeps(const std::string& id, const std::string& salt, double percentage) {
  std::uint64_t h = 14695981039346656037ULL;
  for (const char c : (salt.empty() ? "default-hash-seed" : salt) + id)
    h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  static_assert(std::numeric_limits<long double>::digits >= 64, "Go's big.Float of precision 64");
  const long double bound = std::trunc(18446744073709551615.0L * static_cast<long double>(percentage / 100));
  if (bound >= 18446744073709551615.0L) return true;
  return h <= static_cast<std::uint64_t>(bound);
}

}  // namespace

// --- deciding

PolicyTwin::PolicyTwin(std::vector<PolicySpec> policies, bool first_match, bool use_tracestate)
    : policies_(std::move(policies)), first_match_(first_match), use_tracestate_(use_tracestate) {
  std::stable_partition(policies_.begin(), policies_.end(), [](const PolicySpec& p) { return p.type == "drop"; });
}

PolicyTwin::Answer PolicyTwin::keeps(const PolicySpec& p, const TwinTrace& trace, double now, const std::string& path) {
  const auto is = [](bool yes) { return yes ? Answer::kYes : Answer::kNo; };
  if (p.type == "always_sample") return Answer::kYes;
  if (p.type == "latency") {
    std::vector<std::int64_t> starts, ends;  // without what is absent, or after the year 2262
    const auto note = [](std::vector<std::int64_t>& times, std::uint64_t ns) {
      if (ns >= 1 && ns <= INT64_MAX - 1) times.push_back(static_cast<std::int64_t>(ns));
    };
    any_span(trace, [&](const twin::Span& span) {
      note(starts, span.start_time_unix_nano());
      note(ends, span.end_time_unix_nano());
      return false;
    });
    const bool known = !starts.empty() && !ends.empty();
    const std::int64_t ns =
        known ? *std::max_element(ends.begin(), ends.end()) - *std::min_element(starts.begin(), starts.end()) : 0;
    const std::int64_t ms = ns / 1'000'000;
    return is(ms > p.low.value_or(0) && (!p.high || ms <= *p.high));
  }
  if (p.type == "numeric_attribute") {
    const auto in = [&](const twin::AnyValue& v) {
      return (!p.low || int_of(v) >= *p.low) && (!p.high || int_of(v) <= *p.high);
    };
    return is(any_attribute(trace, p.key, in, in) != p.invert);
  }
  if (p.type == "boolean_attribute") {
    const auto same = [&](const twin::AnyValue& v) { return bool_of(v) == p.flag; };
    return is(any_attribute(trace, p.key, same, same) != p.invert);
  }
  if (p.type == "string_attribute") {
    const auto matches = [&](const std::string& text) {
      return std::any_of(p.values.begin(), p.values.end(), [&](const std::string& value) {
        return p.flag ? std::regex_search(text, std::regex(value)) : !value.empty() && text == value;
      });
    };
    return is(any_attribute(
                  trace, p.key, [&](const twin::AnyValue& v) { return matches(text_of(v)); },
                  [&](const twin::AnyValue& v) { return !text_of(v).empty() && matches(text_of(v)); }) != p.invert);
  }
  if (p.type == "status_code") {
    const std::map<int, std::string> names = {{0, "UNSET"}, {1, "OK"}, {2, "ERROR"}};
    return is(any_span(trace, [&](const twin::Span& span) {
      const auto it = names.find(span.status().code());
      return it != names.end() && std::find(p.values.begin(), p.values.end(), it->second) != p.values.end();
    }));
  }
  if (p.type == "trace_state") {
    return is(any_span(trace, [&](const twin::Span& span) {
      const auto value = tracestate_entry(span.trace_state(), p.key);
      return value && std::find(p.values.begin(), p.values.end(), *value) != p.values.end();
    }));
  }
  if (p.type == "trace_flags")
    return is(any_span(trace, [](const twin::Span& span) { return (span.flags() & 1) != 0; }));
  if (p.type == "span_count")
    return is(span_count(trace) >= p.low.value_or(0) && (!p.high || span_count(trace) <= *p.high));
  if (p.type == "probabilistic") {
    if (!use_tracestate_) return is(hash_keeps(trace.id, p.key, p.percentage));
    const long double p56 = std::round(static_cast<long double>(p.percentage / 100) * 72057594037927936.0L);
    if (p.percentage <= 0) return Answer::kNo;
    return is(p.percentage >= 100 ||
              static_cast<long double>(randomness(trace)) >= 72057594037927936.0L - std::max(p56, 1.0L));
  }
  if (p.type == "rate_limiting" || p.type == "bytes_limiting") {
    const auto rate = static_cast<double>(*p.low);
    const auto burst = static_cast<double>(p.high.value_or(2 * *p.low));
    const auto cost = static_cast<double>(p.type == "rate_limiting" ? span_count(trace) : bytes_of(trace));
    if (use_tracestate_) {
      if (cost > burst) return Answer::kNo;
      Lottery& lottery = lotteries_[path];
      if (lottery.lanes.empty()) lottery.lanes.push_back({rate, burst, burst, {}, 0});
      return limited(path, 0, trace, cost);
    }
    Bucket& bucket = buckets_[path];
    const double full = bucket.begun ? std::min(burst, bucket.tokens + (now - bucket.at) * rate) : burst;
    if (!bucket.begun) bucket = {burst, now, true, {}, -1};
    if (cost > burst || (cost > full && std::floor((cost - full) / rate * 1e9) > 0)) return Answer::kNo;
    bucket.tokens = full - cost;
    bucket.at = now;
    return Answer::kYes;
  }
  if (p.type == "and" || p.type == "drop") {
    bool waits = false;
    for (const PolicySpec& part : p.parts) {
      const Answer one = keeps(part, trace, now, path + "/" + part.name);
      if (one == Answer::kNo) return one;
      waits |= one == Answer::kWaits;
    }
    return waits ? Answer::kWaits : Answer::kYes;
  }
  if (p.type == "not") {
    const Answer inner = keeps(p.parts[0], trace, now, path + "/" + p.parts[0].name);
    return inner == Answer::kWaits ? inner : is(inner == Answer::kNo);
  }
  if (p.type == "composite") {
    std::vector<std::size_t> order = p.order;
    for (std::size_t i = 0; i < p.parts.size(); ++i) {
      if (std::find(order.begin(), order.end(), i) == order.end()) order.push_back(i);
    }
    const auto total = static_cast<double>(*p.low);
    const auto spans = static_cast<double>(span_count(trace));
    const auto share_of = [&](std::size_t i) {
      return p.shares[i] > 0 ? total * p.shares[i] / 100 : total / static_cast<double>(p.parts.size());
    };
    if (use_tracestate_ && lotteries_[path].lanes.empty()) {
      lotteries_[path].total = total;
      for (const std::size_t i : order) lotteries_[path].lanes.push_back({share_of(i), share_of(i), 0, {}, 0});
    }
    bool waits = false;  // a part before it may still take the trace: the later ones hold a place for it all the same
    for (std::size_t place = 0; place < order.size(); ++place) {
      const std::size_t i = order[place];
      const Answer wanted = keeps(p.parts[i], trace, now, path + "/" + p.parts[i].name);
      if (wanted == Answer::kNo) continue;
      const double share = share_of(i);
      const bool too_big = spans > share || spans > total;
      if (use_tracestate_) {
        const Answer room = too_big ? Answer::kNo : limited(path, place, trace, spans);
        if (wanted == Answer::kYes) return waits ? Answer::kWaits : room;
        waits = true;
        continue;
      }
      Bucket& bucket = buckets_[path];
      if (too_big) return Answer::kNo;
      if (bucket.second != std::floor(now)) bucket = {0, 0, true, {}, std::floor(now)};
      double& own = bucket.spent[p.parts[i].name];
      double& all = bucket.spent[""];
      if (own + spans > share || all + spans > total) return Answer::kNo;
      own += spans;
      all += spans;
      return Answer::kYes;
    }
    return waits ? Answer::kWaits : Answer::kNo;
  }
  throw std::logic_error("no such policy: " + p.type);
}

PolicyTwin::Answer PolicyTwin::limited(const std::string& path, std::size_t lane, const TwinTrace& trace, double cost) {
  Lottery& lottery = lotteries_[path];
  if (second_over_) return randomness(trace) >= lottery.lanes[lane].threshold ? Answer::kYes : Answer::kNo;
  lottery.asked = true;
  lottery.lanes[lane].candidates.emplace_back(randomness(trace), cost);
  return Answer::kWaits;
}

void PolicyTwin::cut(Lottery& lottery, std::uint32_t second) {
  constexpr std::uint64_t kAll = 1ULL << 56;
  double total = lottery.total < 0 ? std::numeric_limits<double>::infinity() : lottery.total;
  for (Lane& lane : lottery.lanes) {
    // composite begins each second anew; the others save up to their burst, and begin with it.
    if (lottery.total >= 0) {
      lane.left = lane.rate;
    } else if (lottery.last_cut >= 0) {
      lane.left = std::min(lane.burst, lane.left + (second - lottery.last_cut) * lane.rate);
    }
    const double room = std::min(lane.left, total);
    std::sort(lane.candidates.rbegin(), lane.candidates.rend());
    lane.threshold = 0;
    double used = 0;
    for (const auto& [random, cost] : lane.candidates) {
      used += cost;
      if (used <= room) continue;
      // Above the first without room, to 11 significant bits of the probability.
      std::uint64_t chance = kAll - (random + 1), unit = 1;
      while (chance / unit >= 2048) unit *= 2;
      lane.threshold = kAll - chance / unit * unit;
      break;
    }
    for (const auto& [random, cost] : lane.candidates) {
      if (random < lane.threshold) continue;
      lane.left -= cost;
      total -= cost;
    }
    lane.candidates.clear();
  }
  lottery.last_cut = second;
}

std::map<std::string, TwinVerdict> PolicyTwin::decide_second(const std::map<std::string, TwinTrace>& traces,
                                                             std::uint32_t second) {
  std::map<std::string, TwinVerdict> verdicts;
  for (auto& [path, lottery] : lotteries_) lottery.asked = false;
  second_over_ = false;
  for (const auto& [id, trace] : traces) {
    if (const auto verdict = judge(trace, second)) verdicts[id] = *verdict;
  }
  second_over_ = true;
  for (auto& [path, lottery] : lotteries_) {
    if (lottery.asked) cut(lottery, second);
  }
  for (const auto& [id, trace] : traces) {
    if (!verdicts.contains(id)) verdicts[id] = judge(trace, second).value();
  }
  return verdicts;
}

TwinVerdict PolicyTwin::decide(const TwinTrace& trace, double now) { return judge(trace, now).value(); }

std::optional<TwinVerdict> PolicyTwin::judge(const TwinTrace& trace, double now) {
  TwinVerdict verdict{"not_sampled", "", std::vector<TwinVote>(policies_.size(), TwinVote::kNotAsked)};
  bool waits = false;
  for (std::size_t i = 0; i < policies_.size(); ++i) {
    const PolicySpec& p = policies_[i];
    const Answer answer = keeps(p, trace, now, p.name);
    if (answer == Answer::kWaits) {
      waits = true;
      continue;
    }
    const bool yes = answer == Answer::kYes;
    if (p.type == "drop") {
      verdict.votes[i] = yes ? TwinVote::kDropped : TwinVote::kNotSampled;
      if (yes) {
        verdict.decision = "dropped";
        verdict.policy = p.name;
        return verdict;
      }
      continue;
    }
    verdict.votes[i] = yes ? TwinVote::kSampled : TwinVote::kNotSampled;
    if (!yes) continue;
    if (verdict.policy.empty()) verdict.policy = p.name;
    verdict.decision = "sampled";
    if (first_match_ && !waits) break;
  }
  if (waits) return std::nullopt;
  return verdict;
}

// --- writing policies

std::string PolicySpec::yaml() const {
  const auto quoted = [](const std::string& s) {
    return "\"" + std::regex_replace(std::regex_replace(s, std::regex("\\\\"), "\\\\"), std::regex("\""), "\\\"") +
           "\"";
  };
  std::string fields;
  const auto add = [&](const std::string& field, const std::string& value) {
    fields += (fields.empty() ? "" : ", ") + field + ": " + value;
  };
  const auto list = [&](const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "" : ", ") + item;
    return "[" + out + "]";
  };
  std::vector<std::string> quoted_values;
  for (const std::string& value : values) quoted_values.push_back(quoted(value));
  std::vector<std::string> inner;
  for (const PolicySpec& part : parts) inner.push_back(part.yaml());
  const auto bounds = [&](const char* low_name, const char* high_name) {
    if (low) add(low_name, std::to_string(*low));
    if (high) add(high_name, std::to_string(*high));
  };
  if (type == "latency") bounds("threshold_ms", "upper_threshold_ms");
  if (type == "span_count") bounds("min_spans", "max_spans");
  if (type == "rate_limiting") bounds("spans_per_second", "burst_capacity");
  if (type == "bytes_limiting") bounds("bytes_per_second", "burst_capacity");
  if (type == "numeric_attribute") bounds("min_value", "max_value");
  if (type == "status_code") add("status_codes", list(values));
  if (type.ends_with("_attribute") || type == "trace_state") add("key", quoted(key));
  if (type == "string_attribute" || type == "trace_state") add("values", list(quoted_values));
  if (type == "string_attribute") add("enabled_regex_matching", flag ? "true" : "false");
  if (type == "boolean_attribute") add("value", flag ? "true" : "false");
  if (type.ends_with("_attribute")) add("invert_match", invert ? "true" : "false");
  if (type == "probabilistic") {
    add("sampling_percentage", fmt::format("{}", percentage));
    add("hash_salt", quoted(key));
  }
  if (type == "and") add("and_sub_policy", list(inner));
  if (type == "drop") add("drop_sub_policy", list(inner));
  if (type == "not") add("not_sub_policy", inner[0]);
  if (type == "composite") {
    add("max_total_spans_per_second", std::to_string(*low));
    add("composite_sub_policy", list(inner));
    std::vector<std::string> names, rates;
    for (const std::size_t i : order) names.push_back(parts[i].name);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (shares[i] > 0) rates.push_back(fmt::format("{{policy: {}, percent: {}}}", parts[i].name, shares[i]));
    }
    add("policy_order", list(names));
    add("rate_allocation", list(rates));
  }
  return fmt::format("{{name: {}, type: {}, {}: {{{}}}}}", name, type, type, fields);
}

// --- generating

namespace {

const std::vector<std::string> kKeys = {"a", "http.route", "n", "flag", "ключ"};
const std::vector<std::string> kTexts = {
    "", "x", "/a", "/checkout", "redis", "ünï", "/a/b\nc", std::string(300, 'l'), "true", "5"};
const std::vector<std::string> kPatterns = {"^/a", "check", "x$", "^$", ".*", "[0-9]", "e(d|x)i"};
const std::vector<std::string> kStates = {"",
                                          "",
                                          "",
                                          "v=g",
                                          "v=g,ot=rv:ffffffffffffff",
                                          "ot=th:8;rv:00000000000001,v=s",
                                          " v=g ",
                                          "v=g,v=s",
                                          "v=",
                                          "V=g",
                                          "1v=g",
                                          "v@1=g",
                                          "v=g,,w=s",
                                          "ot=rv:123",
                                          "w=g,v=s"};
const std::vector<std::int64_t> kNumbers = {0, 1, -1, 5, 100, 499, 500, 599, INT64_MIN, INT64_MAX, -1000000};

template <class T>
const T& pick(Random& r, const std::vector<T>& from) {
  return from[r.below(from.size())];
}

PolicySpec random_policy(Random& r, const std::string& name,
                         int place);  // place 0 top, 1 in a list, 2 in not, 3 in composite

PolicySpec plain_policy(Random& r, const std::string& name) {
  static const std::vector<std::string> types = {
      "always_sample", "latency",     "numeric_attribute", "boolean_attribute", "string_attribute", "status_code",
      "trace_state",   "trace_flags", "span_count",        "probabilistic",     "rate_limiting",    "bytes_limiting"};
  PolicySpec p;
  p.name = name;
  p.type = types[r.below(types.size())];
  if (p.type == "always_sample" && !r.one_in(4)) p.type = "string_attribute";
  p.invert = r.one_in(4);
  p.flag = r.one_in(2);
  p.key = pick(r, kKeys);
  if (p.type == "latency" || p.type == "span_count") {
    p.low = static_cast<std::int64_t>(r.below(4));
    if (r.one_in(2)) p.high = *p.low + 1 + static_cast<std::int64_t>(r.below(p.type == "latency" ? 1000 : 4));
  } else if (p.type == "numeric_attribute") {
    std::int64_t a = pick(r, kNumbers), b = pick(r, kNumbers);
    if (a > b) std::swap(a, b);
    if (!r.one_in(3)) p.low = a;
    if (!p.low || !r.one_in(3)) p.high = b;
  } else if (p.type == "string_attribute") {
    for (std::uint64_t n = 1 + r.below(3); n != 0; --n) p.values.push_back(pick(r, p.flag ? kPatterns : kTexts));
    for (std::string& value : p.values) {
      if (value.find('\n') != std::string::npos) value = "x";
    }
  } else if (p.type == "status_code") {
    for (const char* code : {"OK", "ERROR", "UNSET"}) {
      if (r.one_in(3)) p.values.push_back(code);
    }
    if (p.values.empty()) p.values.push_back("ERROR");
  } else if (p.type == "trace_state") {
    p.key = r.one_in(4) ? "w" : "v";
    p.values = {r.one_in(2) ? "g" : "s"};
  } else if (p.type == "probabilistic") {
    p.percentage = pick(r, std::vector<double>{0, 0.1, 1, 5, 10, 25, 33.3, 50, 99.9, 100});
    p.key = r.one_in(2) ? "" : "salt";
  } else if (p.type == "rate_limiting") {
    p.low = 1 + static_cast<std::int64_t>(r.below(20));
    if (r.one_in(2)) p.high = 1 + static_cast<std::int64_t>(r.below(40));
  } else if (p.type == "bytes_limiting") {
    p.low = 100 + static_cast<std::int64_t>(r.below(3000));
    if (r.one_in(2)) p.high = 100 + static_cast<std::int64_t>(r.below(5000));
  }
  return p;
}

PolicySpec random_policy(Random& r, const std::string& name, int place) {
  const std::uint64_t kind = r.below(10);
  PolicySpec p;
  p.name = name;
  const auto fill = [&](int inside) {
    for (std::uint64_t n = 1 + r.below(3); n != 0; --n)
      p.parts.push_back(random_policy(r, fmt::format("p{}", p.parts.size()), inside));
  };
  if (kind == 0 && (place == 0 || place == 3)) {
    p.type = "and";
    fill(1);
  } else if (kind == 1 && place <= 1) {
    p.type = "not";
    p.parts.push_back(random_policy(r, "inner", 2));
  } else if (kind == 2 && place == 0) {
    p.type = "drop";
    fill(1);
  } else if (kind == 3 && place == 0) {
    p.type = "composite";
    fill(3);
    p.low = 1 + static_cast<std::int64_t>(r.below(40));
    for (std::size_t i = 0; i < p.parts.size(); ++i) {
      p.shares.push_back(r.one_in(2) ? 0 : static_cast<double>(1 + r.below(100)));
      if (r.one_in(2)) p.order.push_back(i);
    }
    if (r.one_in(2)) std::reverse(p.order.begin(), p.order.end());
  } else {
    return plain_policy(r, name);
  }
  return p;
}

void random_value(Random& r, twin::AnyValue& value) {
  switch (r.below(8)) {
    case 0:
      value.set_bool_value(r.one_in(2));
      break;
    case 1:
    case 2:
      value.set_int_value(pick(r, kNumbers));
      break;
    case 3:
      value.set_double_value(r.one_in(2) ? 5.0 : -0.5);
      break;
    case 4:
      if (r.one_in(2)) {
        value.set_bytes_value("/a");
      } else {
        value.mutable_array_value()->add_values()->set_string_value("/a");
      }
      break;
    case 5:
      if (r.one_in(4)) break;  // unset
      [[fallthrough]];
    default:
      value.set_string_value(pick(r, kTexts));
  }
}

template <class Message>
void random_attributes(Random& r, Message& message, std::uint64_t max) {
  for (std::uint64_t n = r.below(max + 1); n != 0; --n) {  // keys come twice at times
    twin::KeyValue& a = *message.add_attributes();
    a.set_key(pick(r, kKeys));
    random_value(r, *a.mutable_value());
  }
}

std::uint64_t random_time(Random& r) {
  if (r.one_in(12)) return 0;
  if (r.one_in(30)) return (UINT64_MAX - r.below(1000)) >> r.below(2);  // also about the end of signed 64 bits
  return 1'700'000'000'000'000'000ULL + r.below(1500) * 1'000'000 + (r.one_in(3) ? r.below(1'000'000) : 0);
}

}  // namespace

std::vector<PolicySpec> random_policies(Random& r) {
  std::vector<PolicySpec> policies;
  for (std::uint64_t n = 1 + r.below(6); n != 0; --n)
    policies.push_back(random_policy(r, fmt::format("top{}", policies.size()), 0));
  return policies;
}

std::vector<twin::TracesData> random_requests(Random& r, std::size_t traces) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < traces; ++i) {
    std::string id;
    while (id.size() < 16) id += static_cast<char>(r.one_in(20) ? 0 : r.next());
    if (id.find_first_not_of('\0') == std::string::npos) id[3] = 1;
    ids.push_back(id);
  }
  std::vector<twin::TracesData> requests(1 + r.below(6));
  std::uint64_t next_span = 0;
  std::string again;  // a span that comes twice
  for (twin::TracesData& request : requests) {
    for (std::uint64_t rs = 1 + r.below(3); rs != 0; --rs) {
      twin::ResourceSpans& resource_spans = *request.add_resource_spans();
      random_attributes(r, *resource_spans.mutable_resource(), 2);
      if (r.one_in(5)) resource_spans.set_schema_url("https://schema");
      for (std::uint64_t ss = 1 + r.below(2); ss != 0; --ss) {
        twin::ScopeSpans& scope_spans = *resource_spans.add_scope_spans();
        if (!r.one_in(3)) scope_spans.mutable_scope()->set_name(pick(r, kTexts));
        for (std::uint64_t n = r.below(8); n != 0; --n) {
          twin::Span& span = *scope_spans.add_spans();
          if (!again.empty() && r.one_in(15)) {
            span.ParseFromString(again);
            continue;
          }
          span.set_trace_id(pick(r, ids));
          std::string id(8, '\0');
          const std::uint64_t number = ++next_span;
          for (std::size_t i = 0; i < 8; ++i) id[i] = static_cast<char>(number >> (8 * i));
          span.set_span_id(id);
          if (r.one_in(2)) span.set_parent_span_id(r.one_in(4) ? std::string(8, '\0') : "parent12");
          span.set_trace_state(pick(r, kStates));
          span.set_name(pick(r, kTexts));
          span.set_kind(static_cast<std::int32_t>(r.below(7)));
          span.set_start_time_unix_nano(random_time(r));
          span.set_end_time_unix_nano(random_time(r));
          random_attributes(r, span, 4);
          if (r.one_in(2)) span.mutable_status()->set_code(static_cast<std::int32_t>(r.below(4)));
          if (r.one_in(2)) span.set_flags(static_cast<std::uint32_t>(r.below(4)) | (r.one_in(3) ? 0x100 : 0));
          if (r.one_in(4)) again = span.SerializeAsString();
        }
      }
    }
  }
  return requests;
}

}  // namespace tailgate::test
