"""Words that full-text search passes over, and so does the ranking of what it found."""

from workers.catalogue.words import word_set

STOP_WORDS = word_set(
    """a an and are as at be but by can could did do does for from had has have how i if in into is it its
    me my no not of on or our should so such than that the their them then there these they this those
    to us was we were what when where which who whom whose why will with would you your"""
)
"""Words of a question that say nothing about its subject. Without them BM25 finds better and, because no long
posting list is read, costs a third (measured with Milvus Lite)."""
