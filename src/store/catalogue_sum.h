// SPDX-License-Identifier: Apache-2.0
// The checksum of a finished partition's catalogue, in the file `catalogue.sum` beside it: SQLite itself notices damage
// to its structure only, not a changed number in a row. A catalogue that is still written to has none. One thread.
#pragma once

#include <string>

#include "base/result.h"

namespace tailgate {

std::string sum_path(const std::string& folder);

// Makes the catalogue a plain file that any process can read from a directory in which it may not write, and notes its
// checksum. Fails while somebody reads; then the catalogue stays as it is, which is good as well.
Result<void> seal_catalogue(const std::string& folder);

enum class CatalogueState { kWhole, kDamaged, kUnsealed };
// Reads the whole file. kIo when it cannot be read.
Result<CatalogueState> check_catalogue(const std::string& folder);

}  // namespace tailgate
