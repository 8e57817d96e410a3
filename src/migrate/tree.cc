// SPDX-License-Identifier: Apache-2.0
#include "migrate/tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tailgate {

using Kind = YamlValue::Kind;

namespace {

Lost lost_by_path(std::string_view path) {
  constexpr std::string_view kPipelines = "service.pipelines.";
  if (path.starts_with(kPipelines))
    return path.find('.', kPipelines.size()) == std::string_view::npos ? Lost::kPipeline : Lost::kComponent;
  for (const std::string_view section : {"receivers.", "processors.", "exporters.", "connectors.", "extensions."}) {
    if (path.starts_with(section) && path.find('.', section.size()) == std::string_view::npos) return Lost::kComponent;
  }
  return Lost::kSetting;
}

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

}  // namespace

void Report::loss(const Origin& at, std::string_view text, std::optional<Lost> what) {
  add({at, std::string(text), what ? *what : lost_by_path(at.path)});
}

void Report::forget_parts(std::string_view path) {
  std::erase_if(lines_,
                [&](const Line& line) { return line.lost == Lost::kPartOfPolicy && is_below(line.at.path, path); });
}

void Report::add(Line line) {
  if (std::find(lines_.begin(), lines_.end(), line) == lines_.end()) lines_.push_back(std::move(line));
}

std::vector<Report::Line> Report::lines() const {
  std::vector<Line> lines = lines_;
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.at.place < b.at.place; });
  return lines;
}

std::string Report::message(const Line& line) const {
  return config_message(file_, line.at.place, line.at.path, (line.lost ? "lost: " : "note: ") + line.text);
}

std::string Report::summary() const {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kNames = {
      {{"policy", "policies"},
       {"part of a policy", "parts of policies"},
       {"component", "components"},
       {"pipeline", "pipelines"},
       {"setting", "settings"}}};
  static_assert(static_cast<std::size_t>(Lost::kSetting) + 1 == kNames.size());
  std::array<std::size_t, kNames.size()> lost{};
  std::size_t notes = 0;
  for (const Line& line : lines_) ++(line.lost ? lost[static_cast<std::size_t>(*line.lost)] : notes);
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < lost.size(); ++i) {
    if (lost[i] != 0) parts.push_back(counted(lost[i], kNames[i].first, kNames[i].second));
  }
  std::string text = parts.empty() ? "nothing" : parts[0];
  for (std::size_t i = 1; i < parts.size(); ++i) text += (i + 1 == parts.size() ? " and " : ", ") + parts[i];
  return fmt::format("{}: {} lost, {}", file_, text, counted(notes, "note", "notes"));
}

Trees::Trees(YamlValuePtr source) : source_(std::move(source)) { index(*source_, ""); }

void Trees::index(const YamlValue& value, const std::string& path) {
  if (!origins_.try_emplace(&value, Origin{value.place, path}).second) return;  // an alias: by its first place
  for (const YamlEntry& e : value.entries) index(*e.value, path.empty() ? e.key : fmt::format("{}.{}", path, e.key));
  for (std::size_t i = 0; i < value.items.size(); ++i) index(*value.items[i], fmt::format("{}[{}]", path, i));
}

Origin Trees::origin(const YamlValue* value) const {
  const auto found = origins_.find(value);
  return found != origins_.end() ? found->second : Origin{};
}

Origin Trees::origin(const YamlValue* parent, std::string_view key) const {
  Origin at = origin(parent);
  at.path = at.path.empty() ? std::string(key) : fmt::format("{}.{}", at.path, key);
  if (parent == nullptr) return at;
  if (const YamlEntry* const e = parent->find(key)) at.place = e->place.line > 0 ? e->place : e->value->place;
  return at;
}

YamlValuePtr Trees::copy(const YamlValue& value) {
  auto made = std::make_shared<YamlValue>(value);
  made_.push_back(made);
  origins_[made.get()] = origin(&value);
  for (YamlEntry& e : made->entries) e.value = copy(*e.value);
  for (YamlValuePtr& item : made->items) item = copy(*item);
  return made;
}

YamlValuePtr Trees::map(const Origin& from) {
  auto made = std::make_shared<YamlValue>();
  made_.push_back(made);
  made->kind = Kind::kMap;
  origins_[made.get()] = from;
  return made;
}

YamlValuePtr Trees::scalar(std::string text, const Origin& from) {
  YamlValuePtr made = map(from);
  made->kind = Kind::kScalar;
  made->text = std::move(text);
  return made;
}

const YamlValue* look_up(const YamlValue* at, std::initializer_list<std::string_view> path) {
  for (const std::string_view key : path) {
    const YamlEntry* const e = at != nullptr ? at->find(key) : nullptr;
    if (e == nullptr) return nullptr;
    at = e->value.get();
  }
  return at;
}

YamlValuePtr* entry(YamlValue& map, std::string_view key) {
  for (YamlEntry& e : map.entries) {
    if (e.key == key) return &e.value;
  }
  return nullptr;
}

void put(YamlValue& map, std::string_view key, YamlValuePtr value) {
  map.size += value->size;
  if (YamlValuePtr* const old = entry(map, key)) {
    *old = std::move(value);
  } else {
    map.entries.push_back({std::string(key), value->place, std::move(value)});
  }
}

YamlValuePtr take(YamlValue& map, std::string_view key) {
  const auto at =
      std::find_if(map.entries.begin(), map.entries.end(), [&](const YamlEntry& e) { return e.key == key; });
  if (at == map.entries.end()) return nullptr;
  YamlValuePtr value = std::move(at->value);
  map.entries.erase(at);
  return value;
}

bool is_null(const YamlValue* value) { return value == nullptr || value->kind == Kind::kNull; }

std::string text_of(const YamlValue* value, std::string_view fallback) {
  return value != nullptr && value->kind == Kind::kScalar ? value->text : std::string(fallback);
}

bool is_below(std::string_view path, std::string_view parent) {
  if (parent.empty() || !path.starts_with(parent)) return false;
  return path.size() == parent.size() || path[parent.size()] == '.' || path[parent.size()] == '[';
}

std::string_view type_of(std::string_view id) { return id.substr(0, id.find('/')); }

bool has_reference(std::string_view text) { return text.find("${") != std::string_view::npos; }

bool has_reference(const YamlValue& value) {
  return (value.kind == Kind::kScalar && has_reference(value.text)) ||
         std::any_of(value.entries.begin(), value.entries.end(),
                     [](const auto& e) { return has_reference(*e.value); }) ||
         std::any_of(value.items.begin(), value.items.end(), [](const auto& item) { return has_reference(*item); });
}

std::string foreign_reference(std::string_view text) {
  for (std::size_t at = 0; (at = text.find('$', at)) != std::string_view::npos;) {
    const std::string_view rest = text.substr(at + 1);
    if (rest.starts_with('$')) {  // a dollar
      at += 2;
      continue;
    }
    at += 1;
    if (!rest.starts_with('{')) continue;
    const std::size_t end = rest.find_first_of(":}");
    if (end == std::string_view::npos || rest[end] == '}' || rest.substr(end).starts_with(":-")) continue;  // ${NAME}
    if (rest.substr(1, end - 1) != "env") return fmt::format("${{{}:...}}", rest.substr(1, end - 1));
  }
  return "";
}

}  // namespace tailgate
