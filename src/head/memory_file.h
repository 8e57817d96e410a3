// SPDX-License-Identifier: Apache-2.0
// The probabilities in a file, over restarts: DIRECTORY/adaptive-sampling.json. Threads: one at a time.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "head/adaptive.h"

namespace tailgate {

// Makes the directory if it is not there. Nothing where no file is yet. Errors: kIo (the directory cannot be made),
// kConfig (the file is damaged).
Result<std::vector<AdaptiveSampler::Memory>> load_memory(const std::string& directory);

// Replaces the file as a whole. Errors: kIo.
Result<void> save_memory(const std::string& directory, const std::vector<AdaptiveSampler::Memory>& memory);

}  // namespace tailgate
