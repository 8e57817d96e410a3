// SPDX-License-Identifier: Apache-2.0
#include "migrate/pipelines.h"

#include <fmt/format.h>

#include <algorithm>

#include "migrate/instead.h"

namespace tailgate {
namespace {

constexpr int kChainMax = 32;  // pipelines one after another; the Collector refuses circles

bool has(const std::vector<Ref>& refs, const std::string& id) {
  return std::any_of(refs.begin(), refs.end(), [&](const Ref& ref) { return ref.id == id; });
}

std::set<std::string> ids(const std::vector<Ref>& refs) {
  std::set<std::string> out;
  for (const Ref& ref : refs) out.insert(ref.id);
  return out;
}

std::string samplers(const Pipeline& pipeline) {
  std::string out;
  for (const Ref& ref : pipeline.processors) {
    if (is_sampler(type_of(ref.id))) out += (out.empty() ? "" : ", ") + ref.id;
  }
  return out;
}

bool has_type(const Pipeline& pipeline, std::string_view type) {
  return std::any_of(pipeline.processors.begin(), pipeline.processors.end(),
                     [&](const Ref& ref) { return type_of(ref.id) == type; });
}

class Reader {
 public:
  Reader(const Trees& trees, Report& report) : trees_(trees), report_(report) {}

  Pipelines read() {
    std::vector<Pipeline> traces = read_all();
    for (const Pipeline& pipeline : traces) {
      Pipeline joined{pipeline.name, pipeline.at, {}, {}, {}};
      for (const Ref& ref : pipeline.receivers) {
        if (!is_connector(ref)) joined.receivers.push_back(ref);
      }
      if (!joined.receivers.empty()) join(traces, pipeline, std::move(joined), 0);
    }
    choose();
    return std::move(out_);
  }

 private:
  std::vector<Pipeline> read_all() {
    std::vector<Pipeline> traces;
    std::string others;
    Origin first_other;
    const YamlValue* const all = look_up(&trees_.source(), {"service", "pipelines"});
    if (all == nullptr) return traces;
    for (const YamlEntry& e : all->entries) {
      Pipeline pipeline{e.key, trees_.origin(all, e.key), {}, {}, {}};
      read_refs(*e.value, "receivers", pipeline.receivers);
      read_refs(*e.value, "processors", pipeline.processors);
      read_refs(*e.value, "exporters", pipeline.exporters);
      if (type_of(e.key) == "traces") {
        traces.push_back(std::move(pipeline));
        continue;
      }
      if (is_of_signals(pipeline)) {
        report_.note(pipeline.at, "left out: Prometheus scrapes what it has at /metrics/spans");
        continue;
      }
      if (others.empty()) first_other = pipeline.at;
      others += (others.empty() ? "" : ", ") + e.key;
    }
    if (!others.empty())
      report_.loss(first_other, fmt::format("Tailgate takes traces only, not {}; keep a Collector for these", others));
    return traces;
  }

  void read_refs(const YamlValue& pipeline, std::string_view kind, std::vector<Ref>& out) {
    const YamlValue* const list = look_up(&pipeline, {kind});
    if (is_null(list)) return;
    if (list->kind != YamlValue::Kind::kList) {
      report_.loss(trees_.origin(list), "expected a list of names that are in the file");
      return;
    }
    for (const YamlValuePtr& item : list->items) {
      const std::string id = text_of(item.get());
      if (id.empty() || has_reference(id)) {
        report_.loss(trees_.origin(item.get()), "expected a name that is in the file");
        continue;
      }
      out_.used.insert(fmt::format("{}.{}", kind, id));
      out_.used.insert(fmt::format("connectors.{}", id));
      out.push_back({id, trees_.origin(item.get())});
    }
  }

  bool is_connector(const Ref& ref) const { return look_up(&trees_.source(), {"connectors", ref.id}) != nullptr; }

  // Whatever it has comes from connectors that are sections here.
  bool is_of_signals(const Pipeline& pipeline) const {
    return !pipeline.receivers.empty() &&
           std::all_of(pipeline.receivers.begin(), pipeline.receivers.end(),
                       [&](const Ref& ref) { return is_connector(ref) && !signal_section(type_of(ref.id)).empty(); });
  }

  // Everything that `so_far` reaches through `pipeline`.
  void join(const std::vector<Pipeline>& traces, const Pipeline& pipeline, Pipeline so_far, int depth) {
    so_far.processors.insert(so_far.processors.end(), pipeline.processors.begin(), pipeline.processors.end());
    for (const Ref& ref : pipeline.exporters) {
      if (!is_connector(ref)) so_far.exporters.push_back(ref);
    }
    if (!so_far.exporters.empty()) joined_.push_back(so_far);
    so_far.exporters.clear();
    for (const Ref& ref : pipeline.exporters) {
      if (!is_connector(ref)) continue;
      if (!signal_section(type_of(ref.id)).empty()) {
        if (!has(out_.signals, ref.id)) out_.signals.push_back(ref);
        if (!samplers(so_far).empty())
          report_.note(ref.at, "counts all spans that are received here, and not only those that are sampled");
        continue;
      }
      if (type_of(ref.id) != "forward" || depth > kChainMax) {
        const YamlValue* const connectors = look_up(&trees_.source(), {"connectors"});
        report_.loss(trees_.origin(connectors, ref.id), none_such("connector", type_of(ref.id)));
        continue;
      }
      for (const Pipeline& next : traces) {
        if (has(next.receivers, ref.id)) join(traces, next, so_far, depth + 1);
      }
    }
  }

  void choose() {
    if (joined_.empty()) return;
    auto main =
        std::find_if(joined_.begin(), joined_.end(), [](const auto& p) { return has_type(p, "tail_sampling"); });
    if (main == joined_.end()) {
      main = std::find_if(joined_.begin(), joined_.end(),
                          [](const auto& p) { return has_type(p, "probabilistic_sampler"); });
    }
    if (main == joined_.end()) main = joined_.begin();
    for (const Pipeline& pipeline : joined_) {
      if (&pipeline == &*main) {
        out_.carried.push_back(pipeline);
      } else if (samplers(pipeline) == samplers(*main)) {
        said_together(pipeline, *main);
        out_.carried.push_back(pipeline);
      } else {
        const std::string by = samplers(pipeline);
        report_.loss(pipeline.at,
                     fmt::format("{}, and Tailgate has one sampling section for all: that of '{}'. Run a second "
                                 "Tailgate for it",
                                 by.empty() ? "nothing samples it" : "it is sampled by " + by, main->name));
      }
    }
  }

  void said_together(const Pipeline& one, const Pipeline& main) {
    const bool same_in = ids(one.receivers) == ids(main.receivers);
    const bool same_out = ids(one.exporters) == ids(main.exporters);
    if (one.name == main.name) return;
    if (same_in || same_out) {
      report_.note(one.at, fmt::format("one pipeline with '{}' here: each exporter gets every kept trace", main.name));
    } else {
      report_.loss(one.at,
                   fmt::format("its receivers and exporters are not kept apart from those of '{}': each exporter "
                               "gets every kept trace. Routes by policies, services or attributes of exporters can "
                               "tell them apart",
                               main.name));
    }
  }

  const Trees& trees_;
  Report& report_;
  std::vector<Pipeline> joined_;
  Pipelines out_;
};

}  // namespace

Pipelines read_pipelines(const Trees& trees, Report& report) { return Reader(trees, report).read(); }

std::string_view signal_section(std::string_view type) {
  if (type == "spanmetrics" || type == "span_metrics") return "span_metrics";
  if (type == "servicegraph" || type == "service_graph") return "service_graph";
  return {};
}

bool is_sampler(std::string_view type) { return type == "tail_sampling" || type == "probabilistic_sampler"; }

}  // namespace tailgate
