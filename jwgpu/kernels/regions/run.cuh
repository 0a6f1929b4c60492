// A run of flagged pixels in a row, as it lies in an array (runs, 3).
#pragma once

struct Run {
    int row, first, last;
};
