// SPDX-License-Identifier: Apache-2.0
#include "migrate/fit.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "config/yaml_write.h"
#include "export/registry.h"
#include "migrate/alternatives.h"
#include "migrate/way.h"
#include "receive/registry.h"
#include "settings/assembly.h"

namespace tailgate {
namespace {

using Kind = YamlValue::Kind;

constexpr const char* kName = "migrated";

std::string_view page_of(std::string_view path) {
  if (path.starts_with("receivers")) return "receivers.md";
  if (path.starts_with("exporters")) return "exporters.md";
  return path.starts_with("sampling.policies") ? "policies.md" : "config.md";
}

// Leaves out the value that was found: it is in the file, and may be a secret. Some texts quote a part of it
// themselves.
std::string reason(const ConfigIssue& issue) {
  if (issue.kind == IssueKind::kUnknownKey)
    return fmt::format("Tailgate does not know this key; docs/{} has its keys", page_of(issue.path));
  constexpr std::string_view kNothing = "nothing: ";
  const std::size_t from = issue.text.starts_with(kNothing) ? kNothing.size() : 0;
  std::string text = issue.text.substr(from, issue.text.find(", got ") - from);
  if (const std::size_t list = text.find("; known are "); list != std::string::npos)  // some sixty converters
    text = text.substr(0, list) + "; docs/policies.md lists those it has";
  return text;
}

class Fitter {
 public:
  Fitter(YamlValue& root, Trees& trees, Report& report) : root_(root), trees_(trees), report_(report) {}

  void run(int rounds_max) {
    remove_foreign();
    for (int round = 0; one_round(); ++round) {
      if (round < rounds_max) continue;
      report_.loss({}, "there may be more: `tailgate check` says what else is wrong with the result");
      return;
    }
  }

 private:
  // True: something was taken out, so that another look is due.
  bool one_round() {
    ConfigSource source{kName, {}};
    source.text = write_yaml(root_);
    source.environment = [](const std::string&) { return std::nullopt; };
    const Result<DaemonConfig> config = read_daemon_config(source);
    if (!config) {
      report_.loss({}, fmt::format("the result cannot be checked: {}", config.error().text));
      return false;
    }
    (void)assemble(*config);  // for what receivers, exporters and policies find in their sections
    for (const ConfigIssue& issue : config->issues->notices) {
      if (issue.file == kName && notice(issue)) return true;
    }
    for (const ConfigIssue& issue : config->issues->errors) {
      if (issue.file == kName && error(issue)) return true;
    }
    return false;
  }

  bool notice(const ConfigIssue& issue) {
    const Way way = find_way(root_, issue.path);
    const Origin at = trees_.origin(way.values.back());
    if (issue.kind != IssueKind::kWithoutEffect || !way.rest.empty() || way.steps.empty()) {
      if (!has_reference(*way.values.back())) report_.note(at, issue.text);
      return false;
    }
    report_.note(at, fmt::format("left out: without effect{}", issue.hint));
    remove(way, way.steps.size());
    return true;
  }

  bool error(const ConfigIssue& issue) {
    const Way way = find_way(root_, issue.path);
    if (way.rest.empty() && cannot_be_judged(way)) return false;
    if (in_unknown_type(way)) return false;
    return leave_out(way, reason(issue));
  }

  // Takes out what cannot stay because of what is wrong at the end of the way. False: nothing can be taken out.
  bool leave_out(const Way& way, const std::string& why) {
    Origin at = trees_.origin(way.values.back());
    if (!way.rest.empty()) at.path += (at.path.empty() ? "" : ".") + way.rest;
    if (in_policies(way)) {
      const PolicyPart part = part_to_leave_out(way);
      if (part.condition != 0 && divide_condition(way, part.condition, trees_)) return true;
      report_.forget_parts(trees_.origin(way.values[part.length]).path);
      report_.loss(at, fmt::format("{}; {}", why, part.text), part.whole() ? Lost::kPolicy : Lost::kPartOfPolicy);
      remove_part(way, part);
      return true;
    }
    const std::size_t length = length_to_remove(way);
    if (length == 0) {
      if (way.steps.size() > 1) report_.loss(at, why);
      return false;
    }
    if (length == way.steps.size() && way.rest.empty()) {
      report_.loss(at, why);
    } else {
      report_.loss(at, fmt::format("{}; all of the {} is left out", why, way.steps[0].key.substr(0, 8)),
                   Lost::kComponent);
    }
    remove(way, length);
    return true;
  }

  static bool in_policies(const Way& way) {
    return way.steps.size() >= kStepsToPolicy && way.steps[0].key == "sampling" && way.steps[1].key == "policies";
  }

  // How many steps of a way that does not lead into the policies lead to what has to go; 0: nothing can.
  static std::size_t length_to_remove(const Way& way) {
    const bool component = !way.steps.empty() && (way.steps[0].key == "receivers" || way.steps[0].key == "exporters");
    if (!way.rest.empty()) return component && way.steps.size() >= 2 ? 2 : 0;  // something is missing
    if (way.steps.size() < 2) return 0;
    return way.steps.size() == 2 && way.steps[1].key == "policies" ? 0 : way.steps.size();
  }

  static bool cannot_be_judged(const Way& way) {
    return has_reference(*way.values.back()) || (!way.steps.empty() && way.steps.back().key.ends_with("_file"));
  }

  static bool in_unknown_type(const Way& way) {
    if (way.steps.size() < 2) return false;
    const std::string& id = way.steps[1].key;
    if (way.steps[0].key == "receivers") return find_receiver_type(id) == nullptr;
    return way.steps[0].key == "exporters" && find_exporter_type(type_of(id)) == nullptr;
  }

  // ${file:...} and the like, which the loader would take for misspelt ones. The path of the first.
  static std::optional<std::string> foreign(const YamlValue& at, const std::string& path) {
    if (at.kind == Kind::kScalar && !foreign_reference(at.text).empty()) return path;
    for (const YamlEntry& e : at.entries) {
      if (auto found = foreign(*e.value, path.empty() ? e.key : fmt::format("{}.{}", path, e.key))) return found;
    }
    for (std::size_t i = 0; i < at.items.size(); ++i) {
      if (auto found = foreign(*at.items[i], fmt::format("{}[{}]", path, i))) return found;
    }
    return std::nullopt;
  }

  void remove_foreign() {
    while (const std::optional<std::string> path = foreign(root_, "")) {
      const Way way = find_way(root_, *path);
      const std::string why =
          fmt::format("expected ${{env:NAME}} in place of {}", foreign_reference(way.values.back()->text));
      if (!leave_out(way, why)) remove(way, way.steps.size());
    }
  }

  YamlValue& root_;
  Trees& trees_;
  Report& report_;
};

}  // namespace

void fit_to_loader(YamlValue& root, Trees& trees, Report& report, int rounds_max) {
  Fitter(root, trees, report).run(rounds_max);
}

}  // namespace tailgate
