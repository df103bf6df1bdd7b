"""Counts the words of /data/words.txt and writes the result to /work/count.txt."""
import collections
import os

with open("/data/words.txt", encoding="utf-8") as text:
    counts = collections.Counter(text.read().split())
with open("/work/count.txt", "w", encoding="utf-8") as out:
    for word, count in counts.most_common(3):
        print(count, word, file=out)
print(open("/work/count.txt", encoding="utf-8").read(), end="")
print("HOME is", os.environ["HOME"], "and LOGIN_TOKEN is", os.environ.get("LOGIN_TOKEN"))
