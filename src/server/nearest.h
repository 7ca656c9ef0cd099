// The known word nearest to a mistyped one: for keys, commands and options.
#ifndef CV_SERVER_NEAREST_H
#define CV_SERVER_NEAREST_H

struct cv_nearest {
    const char *word; // what was typed; borrowed
    const char *best; // the nearest word tried that is near enough; NULL while there is none
    int distance;     // edits between the two
};

// A search for the neighbour of `word`.
struct cv_nearest cv_nearest_to(const char *word);
// Tries one known word, which must outlive the search.
void cv_nearest_try(struct cv_nearest *nearest, const char *known);
// Insertions, deletions, replacements and swaps of neighbours that turn one into the other.
int cv_edit_distance(const char *a, const char *b);

#endif
