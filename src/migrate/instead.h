// SPDX-License-Identifier: Apache-2.0
// Part of migrate.cc: what to do instead of what Tailgate does not have.
#pragma once

#include <string>
#include <string_view>

namespace tailgate {

// "Tailgate has no such exporter; ..."; `kind` is receiver, processor, exporter or connector.
std::string none_such(std::string_view kind, std::string_view type);

}  // namespace tailgate
