// SPDX-License-Identifier: Apache-2.0
#include "migrate/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "config/yaml_write.h"
#include "export/registry.h"
#include "receive/registry.h"
#include "settings/assembly.h"

namespace tailgate {
namespace {

using Kind = YamlValue::Kind;

constexpr const char* kName = "migrated";
constexpr int kRoundsMax = 1000;  // each takes something out, or is the last

struct Step {
  std::string key;        // of a map
  std::size_t index = 0;  // of a list, where key is empty
};

// As far as a path leads: values[0] is the root, steps[i] leads from values[i] to values[i + 1].
struct Way {
  std::vector<YamlValue*> values;
  std::vector<Step> steps;
  std::string rest;  // of the path, that is not there
};

Way find(YamlValue& root, std::string_view path) {
  Way way;
  way.values.push_back(&root);
  while (!path.empty()) {
    YamlValue& at = *way.values.back();
    Step step;
    YamlValue* next = nullptr;
    std::size_t taken = 0;
    if (at.kind == Kind::kList && path.starts_with('[')) {
      const std::size_t end = path.find(']');
      if (end == std::string_view::npos) break;
      std::from_chars(path.data() + 1, path.data() + end, step.index);
      if (step.index < at.items.size()) next = at.items[step.index].get();
      taken = end + 1;
    }
    for (const YamlEntry& e : at.entries) {  // keys may have dots in them: the longest that fits
      const std::string_view after = path.substr(std::min(path.size(), e.key.size()));
      if (!path.starts_with(e.key) || (!after.empty() && after[0] != '.' && after[0] != '[')) continue;
      if (next != nullptr && e.key.size() <= step.key.size()) continue;
      step.key = e.key;
      next = e.value.get();
      taken = e.key.size();
    }
    if (next == nullptr) break;
    way.values.push_back(next);
    way.steps.push_back(step);
    path.remove_prefix(taken);
    if (path.starts_with('.')) path.remove_prefix(1);
  }
  way.rest = path;
  return way;
}

// Leaves out the value that was found: it is in the file, and may be a secret. Some texts quote a part of it
// themselves.
std::string reason(const ConfigIssue& issue) {
  if (issue.kind == IssueKind::kUnknownKey) return "Tailgate does not know this key";
  constexpr std::string_view kNothing = "nothing: ";
  const std::size_t from = issue.text.starts_with(kNothing) ? kNothing.size() : 0;
  return issue.text.substr(from, issue.text.find(", got ") - from);
}

class Fitter {
 public:
  Fitter(YamlValue& root, const Trees& trees, Report& report) : root_(root), trees_(trees), report_(report) {}

  void run() {
    remove_foreign();
    for (int round = 0; round < kRoundsMax && one_round(); ++round) {
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
    const Way way = find(root_, issue.path);
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
    const Way way = find(root_, issue.path);
    if (way.rest.empty() && cannot_be_judged(way)) return false;
    if (in_unknown_type(way)) return false;
    const std::size_t length = length_to_remove(way);
    Origin at = trees_.origin(way.values.back());
    if (!way.rest.empty()) at.path += (at.path.empty() ? "" : ".") + way.rest;
    if (length == 0) {
      if (way.steps.size() > 1) report_.loss(at, reason(issue));
      return false;
    }
    const std::string_view what = length == way.steps.size() && way.rest.empty() ? "" : whole(way);
    report_.loss(at, fmt::format("{}{}{}", reason(issue), what.empty() ? "" : "; all of the ", what));
    remove(way, length);
    return true;
  }

  static bool in_policies(const Way& way) {
    return way.steps.size() >= 3 && way.steps[0].key == "sampling" && way.steps[1].key == "policies";
  }

  static std::string_view whole(const Way& way) {
    if (in_policies(way)) return "policy is left out";
    return way.steps[0].key == "receivers" ? "receiver is left out" : "exporter is left out";
  }

  // How many steps of the way lead to what has to go; 0: nothing can.
  static std::size_t length_to_remove(const Way& way) {
    if (in_policies(way)) return 3;
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

  static void remove(const Way& way, std::size_t length) {
    YamlValue& parent = *way.values[length - 1];
    const Step& step = way.steps[length - 1];
    if (parent.kind == Kind::kList) {
      parent.items.erase(parent.items.begin() + static_cast<std::ptrdiff_t>(step.index));
    } else {
      take(parent, step.key);
    }
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
      const Way way = find(root_, *path);
      report_.loss(trees_.origin(way.values.back()),
                   fmt::format("expected ${{env:NAME}} in place of {}", foreign_reference(way.values.back()->text)));
      remove(way, in_policies(way) ? 3 : way.steps.size());
    }
  }

  YamlValue& root_;
  const Trees& trees_;
  Report& report_;
};

}  // namespace

void fit_to_loader(YamlValue& root, const Trees& trees, Report& report) { Fitter(root, trees, report).run(); }

}  // namespace tailgate
