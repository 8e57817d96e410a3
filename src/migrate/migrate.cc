// SPDX-License-Identifier: Apache-2.0
// Reads a Collector's configuration as a plain tree, chooses the parts that Tailgate has (pipelines.h), and copies them
// under Tailgate's keys. At the end the loader says which of the copied keys it does not know (fit.h), so that this
// file does not need a list of keys.
#include "migrate/migrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/input.h"
#include "config/config_file.h"
#include "config/yaml_write.h"
#include "export/registry.h"
#include "migrate/comments.h"
#include "migrate/fit.h"
#include "migrate/instead.h"
#include "migrate/parts.h"
#include "migrate/pipelines.h"
#include "receive/registry.h"

namespace tailgate {
namespace {

// Types that are Tailgate's whether this build has them or not.
constexpr std::array<std::string_view, 3> kReceivers = {"otlp", "jaeger", "zipkin"};
constexpr std::array<std::string_view, 7> kExporters = {"otlp",  "otlp_grpc", "otlphttp", "otlp_http",
                                                        "kafka", "file",      "debug"};

template <class List>
bool one_of(const List& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

class Migrator {
 public:
  Migrator(YamlValuePtr source, const std::string& file) : trees_(std::move(source)), report_(file) {}

  Migration run() {
    const Pipelines pipelines = read_pipelines(trees_, report_);
    const YamlValuePtr root = trees_.map({});
    const YamlValuePtr receivers = trees_.map(trees_.origin(&trees_.source(), "receivers"));
    const YamlValuePtr exporters = trees_.map(trees_.origin(&trees_.source(), "exporters"));
    for (const Pipeline& pipeline : pipelines.carried) {
      for (const Ref& ref : pipeline.receivers) add_receiver(ref, *receivers);
      for (const Ref& ref : pipeline.exporters) add_exporter(ref, *exporters);
      for (const Ref& ref : pipeline.processors) {
        if (type_of(ref.id) == "batch") spread_batch(ref, pipeline, *exporters);
      }
    }
    put(*root, "receivers", receivers);
    put(*root, "sampling", migrate_sampling(pipelines.carried, trees_, report_));
    put(*root, "exporters", exporters);
    for (const Ref& ref : pipelines.signals) add_signals(ref, *root);
    const YamlValuePtr telemetry = migrate_telemetry(trees_, report_);
    if (!telemetry->entries.empty()) put(*root, "telemetry", telemetry);
    note_unused(pipelines);

    if (!pipelines.carried.empty()) fit_to_loader(*root, trees_, report_);
    return finish(*root, *receivers, *exporters);
  }

 private:
  const YamlValue* definition(std::string_view section, const Ref& ref) {
    const YamlValue* const found = look_up(&trees_.source(), {section, ref.id});
    if (found == nullptr) report_.loss(ref.at, fmt::format("expected it to be defined in {}", section));
    return found;
  }

  YamlValuePtr component(const YamlValue& from) {
    return is_null(&from) ? trees_.map(trees_.origin(&from)) : trees_.copy(from);
  }

  Origin origin_of(std::string_view section, const Ref& ref) const {
    return trees_.origin(look_up(&trees_.source(), {section}), ref.id);
  }

  void add_receiver(const Ref& ref, YamlValue& out) {
    if (entry(out, ref.id) != nullptr) return;
    const YamlValue* const from = definition("receivers", ref);
    if (from == nullptr) return;
    const bool in_build = find_receiver_type(ref.id) != nullptr;
    if (!in_build && !one_of(kReceivers, type_of(ref.id))) {
      return report_.loss(origin_of("receivers", ref), none_such("receiver", type_of(ref.id)));
    }
    if (!in_build) report_.note(origin_of("receivers", ref), "this build does not have this receiver yet");
    const YamlValuePtr made = component(*from);
    if (YamlValuePtr* const protocols = entry(*made, "protocols")) {
      for (YamlEntry& e : (*protocols)->entries) {
        if (is_null(e.value.get())) e.value = trees_.map(trees_.origin(e.value.get()));
      }
    }
    put(out, ref.id, made);
  }

  void add_exporter(const Ref& ref, YamlValue& out) {
    if (names_.contains(ref.id)) return;
    const YamlValue* const from = definition("exporters", ref);
    if (from == nullptr) return;
    const Origin at = origin_of("exporters", ref);
    std::string id = ref.id;
    if (type_of(id) == "logging") {  // its name until v0.111
      id = "debug" + id.substr(std::string_view("logging").size());
      if (look_up(&trees_.source(), {"exporters", id}) != nullptr)
        id = fmt::format("debug/{}", ref.id.find('/') == std::string::npos
                                         ? "logging"
                                         : "logging-" + ref.id.substr(ref.id.find('/') + 1));
      report_.note(at, fmt::format("is '{}' here", id));
    }
    const bool in_build = find_exporter_type(type_of(id)) != nullptr;
    if (!in_build && !one_of(kExporters, type_of(id))) return report_.loss(at, none_such("exporter", type_of(id)));
    if (!in_build) report_.note(at, "this build does not have this exporter yet");
    const YamlValuePtr made = component(*from);
    if (id != ref.id && take(*made, "loglevel") != nullptr) report_.note(at, "loglevel is left out: without effect");
    if (YamlValuePtr* const queue = entry(*made, "sending_queue"))
      if (const YamlValuePtr storage = take(**queue, "storage"); !is_null(storage.get()))
        report_.loss(
            trees_.origin(storage.get()),
            "kept traces wait in memory; sending_queue.directory is for a folder in which they survive a restart");
    put(out, id, made);
    names_[ref.id] = id;
  }

  void add_signals(const Ref& ref, YamlValue& root) {
    const std::string section(signal_section(type_of(ref.id)));
    const Origin at = origin_of("connectors", ref);
    if (entry(root, section) != nullptr)
      return report_.loss(at, fmt::format("there is one section {} here, which is that of another connector", section));
    const YamlValue* const from = definition("connectors", ref);
    if (from == nullptr) return;
    report_.note(at, fmt::format("is the section {} here", section));
    const YamlValuePtr made = component(*from);
    // The names that the connector gives, where it is not told others; those of the section are Tempo's.
    if (section == "span_metrics" && made->kind == YamlValue::Kind::kMap && entry(*made, "namespace") == nullptr)
      put(*made, "names", trees_.scalar("jaeger", at));
    put(root, section, made);
  }

  // Batches are made in the exporters' queues.
  void spread_batch(const Ref& ref, const Pipeline& pipeline, YamlValue& exporters) {
    const YamlValue* const batch = definition("processors", ref);
    if (batch == nullptr) return;
    for (const char* key : {"send_batch_size", "send_batch_max_size"}) {
      if (batch->find(key) == nullptr) continue;
      report_.note(trees_.origin(batch, key),
                   "left out: batches are bounded in bytes (sending_queue.batch, sizer: bytes)");
    }
    for (const char* key : {"metadata_keys", "metadata_cardinality_limit"}) {
      if (batch->find(key) != nullptr)
        report_.note(trees_.origin(batch, key), "left out: batches are not told apart here");
    }
    const YamlValue* const timeout = look_up(batch, {"timeout"});
    if (is_null(timeout)) return;
    for (const Ref& exporter : pipeline.exporters) {
      const auto name = names_.find(exporter.id);
      if (name == names_.end() || type_of(name->second) == "debug" || type_of(name->second) == "file") continue;
      YamlValue& at = **entry(exporters, name->second);
      if (!is_open_map(at, "sending_queue")) continue;
      YamlValue& queue = child_map(at, "sending_queue", trees_.origin(timeout));
      if (!is_open_map(queue, "batch")) continue;
      YamlValue& settings = child_map(queue, "batch", trees_.origin(timeout));
      if (entry(settings, "flush_timeout") == nullptr) put(settings, "flush_timeout", trees_.copy(*timeout));
    }
  }

  // Something can be put under `key`: it is neither a reference nor of another kind.
  static bool is_open_map(YamlValue& map, std::string_view key) {
    if (map.kind != YamlValue::Kind::kMap) return false;
    const YamlValuePtr* const at = entry(map, key);
    return at == nullptr || is_null(at->get()) || (*at)->kind == YamlValue::Kind::kMap;
  }

  YamlValue& child_map(YamlValue& map, std::string_view key, const Origin& from) {
    const YamlValuePtr* const at = entry(map, key);
    if (at == nullptr || is_null(at->get())) put(map, key, trees_.map(from));
    return **entry(map, key);
  }

  void note_unused(const Pipelines& pipelines) {
    for (const char* section : {"receivers", "processors", "exporters", "connectors"}) {
      const YamlValue* const all = look_up(&trees_.source(), {section});
      if (all == nullptr) continue;
      for (const YamlEntry& e : all->entries) {
        if (pipelines.used.contains(fmt::format("{}.{}", section, e.key))) continue;
        report_.note(trees_.origin(all, e.key), "left out: no pipeline uses it");
      }
    }
  }

  Migration finish(YamlValue& root, const YamlValue& receivers, YamlValue& exporters) {
    Migration out;
    const Origin service = trees_.origin(&trees_.source(), "service");
    if (receivers.entries.empty()) {
      report_.loss(service,
                   "no traces pipeline has a receiver that could be carried over, so there is nothing to print; let "
                   "senders, or a Collector in front, send by otlp");
    } else {
      if (exporters.entries.empty()) {
        report_.loss(service,
                     "no exporter could be carried over; 'debug' stands in: put the exporter of your backend there");
        put(exporters, "debug", trees_.map(service));
      }
      place_losses(root, trees_, report_);
      out.yaml = write_yaml(root);
    }
    for (const Report::Line& line : report_.lines()) {
      out.messages.push_back(report_.message(line));
      out.lost |= line.lost.has_value();
    }
    out.summary = report_.summary();
    return out;
  }

  Trees trees_;
  Report report_;
  std::map<std::string, std::string> names_;  // of exporters: the Collector's to ours
};

}  // namespace

Result<Migration> migrate_collector(std::string_view text, const std::string& file) {
  Result<YamlValuePtr> source = parse_yaml(text, file);
  if (!source) return tl::unexpected(source.error());
  return Migrator(*source, file).run();
}

int migrate_file(const std::string& file) {
  constexpr int kDone = 0, kLost = 1, kCannotOpen = 3;
  const Result<std::string> text = read_input(file);
  if (!text) {
    fmt::print(stderr, "{}\n", text.error().text);
    return kCannotOpen;
  }
  const Result<Migration> migration = migrate_collector(*text, file);
  if (!migration) {
    fmt::print(stderr, "{}\n", migration.error().text);
    return kLost;
  }
  for (const std::string& line : migration->messages) fmt::print(stderr, "{}\n", line);
  fmt::print(stderr, "{}\n", migration->summary);
  fmt::print("{}", migration->yaml);
  return migration->lost ? kLost : kDone;
}

}  // namespace tailgate
