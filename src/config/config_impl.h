// SPDX-License-Identifier: Apache-2.0
// The data behind a ConfigNode. Private to this room: config_file.cc makes the root, config_node.cc reads it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config_node.h"
#include "config/yaml_value.h"

namespace tailgate {

// One per place that was asked for, made on demand and kept by its parent, so that what was asked of a map is known
// whichever copy of the node was used.
struct ConfigNode::Impl {
  YamlValuePtr value;  // null when not there
  std::string path;
  std::shared_ptr<const std::string> file;  // of the nearest value that is there
  YamlPlace place;
  std::shared_ptr<ConfigIssues> issues;
  std::vector<std::string> asked;  // keys
  bool shape_reported = false;
  std::map<std::string, std::shared_ptr<Impl>, std::less<>> children;
  std::vector<std::shared_ptr<Impl>> items;
};

}  // namespace tailgate
