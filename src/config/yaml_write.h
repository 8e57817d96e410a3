// SPDX-License-Identifier: Apache-2.0
// Writes a YAML tree as text for people: blocks outside, short maps and lists on one line inside. Environment
// references and other scalars stay as they are, and quoted scalars stay quoted unless told otherwise. parse_yaml() of
// the text gives the same tree, without comments.
#pragma once

#include <string>

#include "config/yaml_value.h"

namespace tailgate {

enum class YamlQuotes {
  kAsWritten,
  kNeeded,  // equal values give equal texts: our readers do not tell "7" from 7
};
std::string write_yaml(const YamlValue& root, YamlQuotes quotes = YamlQuotes::kAsWritten);

}  // namespace tailgate
