// SPDX-License-Identifier: Apache-2.0
// Writes a YAML tree as text for people: blocks outside, short maps and lists on one line inside. Environment
// references and other scalars stay as they are, and quoted scalars stay quoted. parse_yaml() of the text gives the
// same tree.
#pragma once

#include <string>

#include "config/yaml_value.h"

namespace tailgate {

std::string write_yaml(const YamlValue& root);

}  // namespace tailgate
