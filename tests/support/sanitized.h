// SPDX-License-Identifier: Apache-2.0
// Whether a sanitizer is built in: the program then takes several times as long, and uses more memory and descriptors.
#pragma once

namespace tailgate::test {

inline constexpr bool kSanitized =
#ifdef TAILGATE_SANITIZED
    true;
#else
    false;
#endif

}  // namespace tailgate::test
