// SPDX-License-Identifier: Apache-2.0
// Any bytes as a configuration: loading and every reader end with values or errors, never with a crash.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/config_file.h"

namespace {

void visit(const tailgate::ConfigNode& node, int depth, int& left) {
  if (depth > 40 || --left < 0) return;
  (void)node.scalar();
  (void)node.as_integer(0);
  for (const char* key : {"a", "b", "endpoint"}) {
    (void)node.text(key);
    (void)node.integer(key, 1, {.min = 0, .max = 9});
    (void)node.number(key, 1);
    (void)node.boolean(key, false);
    (void)node.duration(key, {});
    (void)node.bytes(key, 0);
    (void)node.texts(key);
    (void)node.choice(key, "x", {"x", "y"});
  }
  node.finish();
  if (node.is_list()) {
    for (const tailgate::ConfigNode& item : node.items()) visit(item, depth + 1, left);
  }
  if (node.is_map()) {
    for (const auto& [key, value] : node.entries()) visit(value, depth + 1, left);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16384) return 0;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  tailgate::LoadOptions options;
  options.environment = [](const std::string& name) -> std::optional<std::string> {
    return name.size() % 2 == 0 ? std::optional<std::string>("[1, {a: ${A}}]") : std::nullopt;
  };
  // A first line of the form `#!a.b=c` is an override.
  if (text.starts_with("#!")) options.overrides.emplace_back(text.substr(2, text.find('\n') - 2));
  if (const auto document = tailgate::load_config_text(text, "fuzz.yaml", options)) {
    int left = 2000;
    visit(document->root, 0, left);
  }
  return 0;
}
