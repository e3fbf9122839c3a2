"""Ask askfleet with OpenAI's SDK: only base_url and api_key differ.

pip install openai
AF_URL=http://127.0.0.1:8080 AF_API_KEY=... python openai_client.py "How do I reset the hub?"
"""

import argparse
import os
from typing import Any

from openai import OpenAI


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask askfleet a question through OpenAI's SDK.")
    parser.add_argument("question")
    parser.add_argument("--url", default=os.environ.get("AF_URL", "http://127.0.0.1:8080"))
    parser.add_argument("--key", default=os.environ.get("AF_API_KEY", "none"))
    options = parser.parse_args()

    client = OpenAI(base_url=f"{options.url}/v1", api_key=options.key)
    chunks = client.chat.completions.create(
        model="askfleet", messages=[{"role": "user", "content": options.question}], stream=True
    )
    sources: list[dict[str, Any]] = []
    for chunk in chunks:
        if chunk.choices and chunk.choices[0].delta.content:
            print(chunk.choices[0].delta.content, end="", flush=True)
        # Beside OpenAI's fields: what each [n] of the text stands for, on the last chunk.
        sources = (chunk.model_extra or {}).get("sources", sources)
    print()
    for source in sources:
        print(f"[{source['number']}] {source['title']} {source['source']}")


if __name__ == "__main__":
    main()
