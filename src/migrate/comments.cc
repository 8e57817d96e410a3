// SPDX-License-Identifier: Apache-2.0
#include "migrate/comments.h"

#include <fmt/format.h>

#include <charconv>

namespace tailgate {
namespace {

struct Section {
  std::string_view collectors, ours;
};
constexpr Section kSections[] = {{"receivers.", "receivers"},
                                 {"exporters.", "exporters"},
                                 {"processors.", "sampling"},
                                 {"service.telemetry.", "telemetry"},
                                 {"extensions.", "telemetry"}};

std::size_t index_of(std::string_view rest) {  // "[3].latency"
  std::size_t index = 0;
  if (rest.starts_with('[')) std::from_chars(rest.data() + 1, rest.data() + rest.size(), index);
  return index;
}

class Placer {
 public:
  Placer(const Trees& trees, std::string_view path) : trees_(trees), path_(path) {}

  YamlValue& place(YamlValue& section) {
    best_ = &section;
    look(section);
    const std::string parent = trees_.origin(best_).path;
    if (best_->kind != YamlValue::Kind::kList || !is_below(path_, parent) || parent == path_) return *best_;
    for (const YamlValuePtr& item : best_->items) {
      const std::string origin = trees_.origin(item.get()).path;
      if (is_below(origin, parent) &&
          index_of(std::string_view(origin).substr(parent.size())) > index_of(path_.substr(parent.size())))
        return *item;
    }
    return *best_;
  }

 private:
  void look(YamlValue& at) {
    const std::string origin = trees_.origin(&at).path;
    if (is_below(path_, origin) && origin.size() > length_) {
      best_ = &at;
      length_ = origin.size();
    }
    for (const YamlEntry& e : at.entries) look(*e.value);
    for (const YamlValuePtr& item : at.items) look(*item);
  }

  const Trees& trees_;
  const std::string_view path_;
  YamlValue* best_ = nullptr;
  std::size_t length_ = 0;  // of the best one's path
};

}  // namespace

void place_losses(YamlValue& root, const Trees& trees, const Report& report) {
  for (const Report::Line& line : report.lines()) {
    if (!line.lost) continue;
    YamlValue* at = &root;
    for (const Section& section : kSections) {
      YamlValuePtr* const ours = entry(root, section.ours);
      if (ours != nullptr && line.at.path.starts_with(section.collectors))
        at = &Placer(trees, line.at.path).place(**ours);
    }
    at->comments.push_back(fmt::format("lost: {}: {}", line.at.path.empty() ? "document" : line.at.path, line.text));
  }
}

}  // namespace tailgate
