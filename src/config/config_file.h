// SPDX-License-Identifier: Apache-2.0
// Loads a YAML document: file or text to a root ConfigNode, with --set overrides and environment references.
//
//   Result<ConfigDocument> doc = load_config_file("tailgate.yaml", {.overrides = {"telemetry.logs.level=debug"}});
//
// Fails (kIo, kConfig) on a file that cannot be read and on a syntax error, with its place. Everything else (an
// environment variable that is not set, a bad override, and later bad values) is collected in `issues`.
//
// References follow the Collector: ${env:NAME}, ${env:NAME:-default}, ${NAME}, and $$ for a dollar. A scalar that is
// just one reference is parsed again as YAML; fields that are texts take the variable's text unchanged. The text of a
// variable is never searched for references. Keys are not expanded.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config_node.h"

namespace tailgate {

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

struct LoadOptions {
  // "a.b.c=VALUE" in the order given, the last wins: VALUE is YAML, list items go by index (the size appends), maps
  // that are missing are made.
  std::vector<std::string> overrides = {};
  Environment environment = {};               // the process's when empty
  bool references = true;                     // false: dollars stay as they are
  std::shared_ptr<ConfigIssues> issues = {};  // shared with other documents of one configuration; a new one when empty
};

struct ConfigDocument {
  ConfigNode root;
  std::shared_ptr<ConfigIssues> issues;
};

inline constexpr std::size_t kConfigBytesMax = 16 << 20;  // of a file

Result<ConfigDocument> load_config_file(const std::string& path, const LoadOptions& options = {});
Result<ConfigDocument> load_config_text(std::string_view yaml, const std::string& name,
                                        const LoadOptions& options = {});

}  // namespace tailgate
