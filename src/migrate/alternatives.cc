// SPDX-License-Identifier: Apache-2.0
#include "migrate/alternatives.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "decide/condition/lexer.h"

namespace tailgate {
namespace {

struct Alternatives {
  std::string_view type, list, text;
};
constexpr std::array<Alternatives, 5> kAlternatives = {{
    {"ottl_condition", "span", "this condition is left out, the policy keeps the others"},
    {"ottl_condition", "spanevent", "this condition is left out, the policy keeps the others"},
    {"string_attribute", "values", "this value is left out, the policy keeps the others"},
    {"trace_state", "values", "this value is left out, the policy keeps the others"},
    {"status_code", "status_codes", "this code is left out, the policy keeps the others"},
}};

std::size_t count(const YamlValue& settings, std::string_view list) {
  const YamlValue* const items = look_up(&settings, {list});
  return items != nullptr ? items->items.size() : 0;
}

// With `propagate` a condition that fails ends the asking, so those behind a lost one would keep more traces.
bool fails_alone(const YamlValue& settings) {
  const std::string mode = text_of(look_up(&settings, {"error_mode"}), "silent");
  return mode == "silent" || mode == "ignore";
}

// Of the settings of a policy whose alternative the way leads to, below `negated`.
void take_alternative(const Way& way, std::size_t at, bool negated, PolicyPart& out) {
  const YamlValue& settings = *way.values[at + 1];
  for (const Alternatives& one : kAlternatives) {
    if (one.type != way.steps[at].key || one.list != way.steps[at + 1].key) continue;
    const std::string invert = text_of(look_up(&settings, {"invert_match"}), "false");
    if ((invert != "true" && invert != "false") || negated != (invert == "true")) return;
    const bool condition = one.type == "ottl_condition";
    if (condition && !fails_alone(settings)) return;
    if (condition && way.steps.size() == at + 3) out.condition = at + 3;
    const std::size_t all =
        condition ? count(settings, "span") + count(settings, "spanevent") : count(settings, one.list);
    if (all <= 1) return;
    out.length = at + 3;
    out.text = one.text;
  }
}

std::string name_of(const YamlValue& policy) { return text_of(look_up(&policy, {"name"})); }

std::string_view trimmed(std::string_view text) {
  const std::size_t from = std::min(text.find_first_not_of(" \t\n\r"), text.size());
  const std::size_t to = text.find_last_not_of(" \t\n\r");
  return text.substr(from, to == std::string_view::npos ? 0 : to + 1 - from);
}

}  // namespace

PolicyPart part_to_leave_out(const Way& way) {
  PolicyPart out;
  out.text = fmt::format("all of the policy '{}' is left out: write it anew with what docs/policies.md has",
                         name_of(*way.values[kStepsToPolicy]));
  bool negated = false;
  std::size_t at = kStepsToPolicy;  // values[at] is a policy
  while (at + 1 < way.steps.size()) {
    const std::string& type = way.steps[at].key;
    const std::string& inner = way.steps[at + 1].key;
    if (type == "not" && inner == "not_sub_policy") {
      negated = !negated;
      at += 2;
      continue;
    }
    if (at + 2 >= way.steps.size()) break;
    const bool all_of = (type == "and" && inner == "and_sub_policy") || (type == "drop" && inner == "drop_sub_policy");
    const bool first_of = type == "composite" && inner == "composite_sub_policy";
    if (!all_of && !first_of) {
      take_alternative(way, at, negated, out);
      break;
    }
    if (first_of && !negated && way.values[at + 2]->items.size() > 1) {
      out.length = at + 3;
      out.text =
          fmt::format("'{}' inside composite is left out: its traces are asked of the next ones, within the same total",
                      name_of(*way.values[at + 3]));
    }
    at += 3;
  }
  return out;
}

void remove_part(const Way& way, const PolicyPart& part) {
  if (way.steps[part.length - 2].key == "composite_sub_policy") {
    const std::string name = name_of(*way.values[part.length]);
    YamlValue& composite = *way.values[part.length - 2];
    if (YamlValuePtr* const order = entry(composite, "policy_order"))
      std::erase_if((*order)->items, [&](const YamlValuePtr& one) { return text_of(one.get()) == name; });
    if (YamlValuePtr* const shares = entry(composite, "rate_allocation"))
      std::erase_if((*shares)->items,
                    [&](const YamlValuePtr& one) { return text_of(look_up(one.get(), {"policy"})) == name; });
  }
  remove(way, part.length);
}

bool divide_condition(const Way& way, std::size_t length, Trees& trees) {
  const YamlValue& condition = *way.values[length];
  const std::string text = condition.text;
  const auto tokens = condition::lex_condition(text, false);
  if (!tokens || has_reference(text)) return false;
  std::vector<std::string_view> parts;
  std::size_t from = 0;
  int depth = 0;
  for (const condition::Token& token : *tokens) {
    if (token.kind == condition::TokenKind::kPunct) depth += std::string_view("([{").find(token.text) < 3 ? 1 : 0;
    if (token.kind == condition::TokenKind::kPunct) depth -= std::string_view(")]}").find(token.text) < 3 ? 1 : 0;
    if (token.kind != condition::TokenKind::kOr || depth != 0) continue;
    parts.push_back(trimmed(std::string_view(text).substr(from, token.column - 1 - from)));
    from = token.column - 1 + token.text.size();
  }
  if (parts.empty()) return false;
  parts.push_back(trimmed(std::string_view(text).substr(from)));

  std::vector<YamlValuePtr>& list = way.values[length - 1]->items;
  const Origin origin = trees.origin(&condition);
  const auto at = list.begin() + static_cast<std::ptrdiff_t>(way.steps[length - 1].index);
  std::vector<YamlValuePtr> made;
  for (std::size_t i = 0; i < parts.size(); ++i)  // columns in messages count from the operand
    made.push_back(trees.scalar(std::string(parts[i]), {origin.place, fmt::format("{}.or[{}]", origin.path, i)}));
  list.insert(list.erase(at), made.begin(), made.end());
  return true;
}

}  // namespace tailgate
