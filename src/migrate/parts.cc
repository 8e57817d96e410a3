// SPDX-License-Identifier: Apache-2.0
#include "migrate/parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "migrate/instead.h"

namespace tailgate {
namespace {

using Kind = YamlValue::Kind;

class Sampling {
 public:
  Sampling(Trees& trees, Report& report) : trees_(trees), report_(report) {}

  YamlValuePtr make(const std::vector<Pipeline>& pipelines) {
    // Pipelines that are carried together have the same samplers: those of the first are all there are.
    if (!pipelines.empty()) {
      for (const Ref& ref : pipelines[0].processors) {
        if (type_of(ref.id) == "tail_sampling") tail_sampling(ref);
      }
      for (const Ref& ref : pipelines[0].processors) {
        if (type_of(ref.id) == "probabilistic_sampler") probabilistic_sampler(ref);
      }
      if (out_ == nullptr) keep_all(pipelines[0]);
    }
    if (out_ == nullptr) out_ = trees_.map({});
    const YamlValuePtr policies = take(*out_, "policies");
    for (const Pipeline& pipeline : pipelines) {
      for (const Ref& ref : pipeline.processors) {
        if (!is_sampler(type_of(ref.id)) && seen_.insert(ref.id).second) other(ref);
      }
    }
    if (policies != nullptr) put(*out_, "policies", policies);  // last: the longest
    return out_;
  }

 private:
  const YamlValue* definition(const Ref& ref) {
    const YamlValue* const found = look_up(&trees_.source(), {"processors", ref.id});
    if (found == nullptr) report_.loss(ref.at, "expected it to be defined in processors");
    return found;
  }
  Origin origin_of(const Ref& ref) const { return trees_.origin(look_up(&trees_.source(), {"processors"}), ref.id); }

  void tail_sampling(const Ref& ref) {
    const YamlValue* const from = definition(ref);
    if (from == nullptr) return;
    if (out_ != nullptr)
      return report_.loss(origin_of(ref),
                          "a second tail_sampling after the first has no place here; join what both want by policies "
                          "of type and");
    out_ = is_null(from) ? trees_.map(origin_of(ref)) : trees_.copy(*from);
    drop_key("tail_storage", "open traces are held in memory: give it enough, tailgate check --rate says how much");
    const YamlValuePtr* const strategy = entry(*out_, "sampling_strategy");
    if (strategy != nullptr && text_of(strategy->get()) == "span-ingest") {
      drop_key("sampling_strategy",
               "span-ingest would judge each request alone and cut traces apart; they are judged whole");
    }
  }

  void drop_key(std::string_view key, std::string_view why) {
    if (const YamlValuePtr old = take(*out_, key)) report_.loss(trees_.origin(old.get()), why);
  }

  void probabilistic_sampler(const Ref& ref) {
    const YamlValue* const from = definition(ref);
    if (from == nullptr) return;
    if (out_ != nullptr) {
      return report_.loss(origin_of(ref),
                          "sampling before or after tail_sampling has no place here: every trace is judged "
                          "by the policies, and what they keep is exported. Join its share to a policy by type and, or "
                          "sample in the SDKs");
    }
    const YamlValue* const seed = look_up(from, {"hash_seed"});
    const bool seeded = !is_null(seed) && text_of(seed) != "0";
    std::string mode = text_of(look_up(from, {"mode"}));
    if (mode.empty()) mode = seeded ? "hash_seed" : "proportional";
    const bool by_hash = mode == "hash_seed";

    out_ = trees_.map(origin_of(ref));
    const YamlValuePtr settings = trees_.map(origin_of(ref));
    const YamlValue* const percentage = look_up(from, {"sampling_percentage"});
    const bool above = !is_null(percentage) && std::strtod(text_of(percentage).c_str(), nullptr) > 100;  // keeps all
    put(*settings, "sampling_percentage",
        is_null(percentage) || above ? trees_.scalar(above ? "100" : "0", origin_of(ref)) : trees_.copy(*percentage));
    if (by_hash && seeded) put(*settings, "hash_salt", trees_.scalar(text_of(seed), trees_.origin(seed)));
    const YamlValuePtr policy = trees_.map(origin_of(ref));
    put(*policy, "name", trees_.scalar("probabilistic_sampler", origin_of(ref)));
    put(*policy, "type", trees_.scalar("probabilistic", origin_of(ref)));
    put(*policy, "probabilistic", settings);
    put(*out_, "decision_wait", trees_.scalar("1s", origin_of(ref)));  // the answer does not depend on what comes
    if (!by_hash) put(*out_, "use_tracestate", trees_.scalar("true", origin_of(ref)));
    put_policy(policy);

    if (by_hash) {
      report_.loss(seeded ? trees_.origin(seed) : origin_of(ref),
                   "the share is kept, but of other traces than Collectors with this hash keep: theirs has 14 bits. "
                   "Where the same traces matter, let all sample by mode proportional");
    } else if (mode == "proportional") {
      report_.note(origin_of(ref),
                   "traces that come with a threshold (ot=th) are kept down to this share, as mode equalizing "
                   "does, not thinned by it once more");
    }
    report_.note(origin_of(ref), "the attribute sampling.priority is not looked at");
    if (text_of(look_up(from, {"fail_closed"})) == "false") {
      report_.note(trees_.origin(from, "fail_closed"), "left out: spans without a valid trace id are refused");
    }
    if (from->find("sampling_precision") != nullptr) {
      report_.note(trees_.origin(from, "sampling_precision"), "left out: thresholds have all their digits");
    }
    for (const char* key : {"attribute_source", "from_attribute", "sampling_priority"}) {
      if (from->find(key) != nullptr) report_.note(trees_.origin(from, key), "left out: it is about logs");
    }
  }

  void keep_all(const Pipeline& pipeline) {
    out_ = trees_.map(pipeline.at);
    put(*out_, "decision_wait", trees_.scalar("1s", pipeline.at));
    const YamlValuePtr policy = trees_.map(pipeline.at);
    put(*policy, "name", trees_.scalar("all", pipeline.at));
    put(*policy, "type", trees_.scalar("always_sample", pipeline.at));
    put_policy(policy);
    report_.note(pipeline.at, "it does not sample: everything is kept, a second after its first span");
  }

  void put_policy(const YamlValuePtr& policy) {
    const YamlValuePtr list = trees_.map(trees_.origin(policy.get()));
    list->kind = Kind::kList;
    list->items.push_back(policy);
    put(*out_, "policies", list);
  }

  void other(const Ref& ref) {
    const std::string_view type = type_of(ref.id);
    if (type == "batch") return;  // with the exporters
    const YamlValue* const from = definition(ref);
    if (from == nullptr) return;
    if (type == "memory_limiter") return memory_limiter(*from, ref);
    if (type == "groupbytrace") return report_.note(origin_of(ref), "left out: traces are held together anyway");
    report_.loss(origin_of(ref), none_such("processor", type));
  }

  void memory_limiter(const YamlValue& from, const Ref& ref) {
    const YamlValue* const limit = look_up(&from, {"limit_mib"});
    const bool given = !is_null(limit) && text_of(limit) != "0";
    if (given && entry(*out_, "memory_limit") == nullptr) {
      put(*out_, "memory_limit", trees_.scalar(text_of(limit) + "MiB", trees_.origin(limit)));
    } else if (from.find("limit_percentage") != nullptr && !given) {
      limit_percentage(from);
    } else if (given) {
      report_.note(origin_of(ref), "left out: another memory_limiter gives the limit");
    }
    for (const char* key : {"check_interval", "spike_limit_mib", "spike_limit_percentage",
                            "min_gc_interval_when_soft_limited", "min_gc_interval_when_hard_limited"}) {
      if (from.find(key) != nullptr)
        report_.note(trees_.origin(&from, key), "left out: memory is counted, not measured");
    }
  }

  // Of the memory of the machine that the Collector runs on, which is not known here.
  void limit_percentage(const YamlValue& from) {
    const std::string percent = text_of(look_up(&from, {"limit_percentage"}));
    const double number = std::strtod(percent.c_str(), nullptr);
    const std::string example =
        number > 0 && number <= 100 ? fmt::format(" ({:.0f}MiB of each GiB)", number * 1024 / 100) : "";
    report_.loss(trees_.origin(&from, "limit_percentage"),
                 fmt::format("memory_limit is a size: set sampling.memory_limit to {} % of the container's or the "
                             "machine's memory{}; without it a quarter is the limit",
                             percent, example));
  }

  Trees& trees_;
  Report& report_;
  YamlValuePtr out_;
  std::set<std::string> seen_;
};

class Telemetry {
 public:
  Telemetry(Trees& trees, Report& report) : trees_(trees), report_(report) {}

  YamlValuePtr make() {
    out_ = trees_.map(trees_.origin(look_up(&trees_.source(), {"service"}), "telemetry"));
    const YamlValue* const telemetry = look_up(&trees_.source(), {"service", "telemetry"});
    if (telemetry != nullptr) {
      for (const YamlEntry& e : telemetry->entries) {
        if (e.key == "metrics") {
          metrics(*e.value);
        } else if (e.key == "logs") {
          logs(*e.value);
        } else {
          report_.note(trees_.origin(telemetry, e.key), "left out: Tailgate says of itself what metrics and logs say");
        }
      }
    }
    extensions();
    return out_;
  }

 private:
  void set(std::string_view section, std::string_view key, std::string text, const Origin& from) {
    if (entry(*out_, section) == nullptr) put(*out_, section, trees_.map(from));
    put(**entry(*out_, section), key, trees_.scalar(std::move(text), from));
  }

  bool is_set(std::string_view section) { return entry(*out_, section) != nullptr; }

  void metrics(const YamlValue& from) {
    for (const YamlEntry& e : from.entries) {
      if (e.key == "address") {
        set("metrics", "endpoint", text_of(e.value.get()), trees_.origin(e.value.get()));
      } else if (e.key == "readers") {
        for (const YamlValuePtr& reader : e.value->items) metrics_reader(*reader);
      } else if (e.key == "level" && text_of(e.value.get()) == "none") {
        report_.note(trees_.origin(e.value.get()), "left out: /metrics is always served");
      } else {
        report_.note(trees_.origin(&from, e.key), "left out: without effect");
      }
    }
  }

  void metrics_reader(const YamlValue& reader) {
    const YamlValue* const prometheus = look_up(&reader, {"pull", "exporter", "prometheus"});
    if (is_null(prometheus))
      return report_.loss(trees_.origin(&reader),
                          "metrics are served for Prometheus, not sent; let Prometheus or a Collector read /metrics");
    if (is_set("metrics"))
      return report_.loss(trees_.origin(&reader),
                          "metrics are served at one endpoint only; let all readers use the first");
    const std::string host = text_of(look_up(prometheus, {"host"}), "localhost");
    const std::string port = text_of(look_up(prometheus, {"port"}), "8888");
    const bool bare_ipv6 = host.find(':') != std::string::npos && !host.starts_with('[') && !has_reference(host);
    set("metrics", "endpoint", fmt::format("{}:{}", bare_ipv6 ? "[" + host + "]" : host, port),
        trees_.origin(prometheus));
    for (const YamlEntry& e : prometheus->entries) {
      if (e.key == "host" || e.key == "port") continue;
      report_.note(trees_.origin(prometheus, e.key), "left out: names of metrics are Tailgate's own");
    }
  }

  void logs(const YamlValue& from) {
    for (const YamlEntry& e : from.entries) {
      const Origin at = trees_.origin(e.value.get());
      std::string text = text_of(e.value.get());
      if (e.key == "level") {
        if (!has_reference(text))
          std::transform(text.begin(), text.end(), text.begin(), [](char c) { return static_cast<char>(c | 0x20); });
        if (text == "dpanic" || text == "panic" || text == "fatal") text = "error";
        set("logs", "level", text, at);
      } else if (e.key == "encoding") {
        set("logs", "format", text == "console" ? "text" : text, at);
      } else {
        report_.note(trees_.origin(&from, e.key), "left out: without effect");
      }
    }
  }

  void extensions() {
    const YamlValue* const all = look_up(&trees_.source(), {"extensions"});
    const YamlValue* const used = look_up(&trees_.source(), {"service", "extensions"});
    std::set<std::string> names;
    if (used != nullptr) {
      for (const YamlValuePtr& item : used->items) names.insert(text_of(item.get()));
    }
    if (all == nullptr) return;
    for (const YamlEntry& e : all->entries) {
      const std::string_view type = type_of(e.key);
      if (!names.contains(e.key)) {
        report_.note(trees_.origin(all, e.key), "left out: the service does not use it");
      } else if (type == "health_check" || type == "healthcheckv2") {
        health_check(*e.value, trees_.origin(all, e.key));
      } else {
        report_.note(trees_.origin(all, e.key), "left out: Tailgate has no such extension");
      }
    }
  }

  void health_check(const YamlValue& from, const Origin& at) {
    const YamlValue* const http = look_up(&from, {"http"});
    const YamlValue* const endpoint = look_up(is_null(http) ? &from : http, {"endpoint"});
    if (is_set("health")) return report_.note(at, "left out: health is told at one endpoint only");
    if (!is_null(endpoint)) set("health", "endpoint", text_of(endpoint), trees_.origin(endpoint));
    report_.note(at, "probes have to ask for /health or /ready, whatever path they asked for before");
  }

  Trees& trees_;
  Report& report_;
  YamlValuePtr out_;
};

}  // namespace

YamlValuePtr migrate_sampling(const std::vector<Pipeline>& pipelines, Trees& trees, Report& report) {
  return Sampling(trees, report).make(pipelines);
}

YamlValuePtr migrate_telemetry(Trees& trees, Report& report) { return Telemetry(trees, report).make(); }

}  // namespace tailgate
