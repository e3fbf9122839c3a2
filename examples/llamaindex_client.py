"""Ask askfleet with LlamaIndex: OpenAILike with another api_base.

pip install llama-index-llms-openai-like
AF_URL=http://127.0.0.1:8080 AF_API_KEY=... python llamaindex_client.py "How do I reset the hub?"
"""

import argparse
import os

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask askfleet a question through LlamaIndex.")
    parser.add_argument("question")
    parser.add_argument("--url", default=os.environ.get("AF_URL", "http://127.0.0.1:8080"))
    parser.add_argument("--key", default=os.environ.get("AF_API_KEY", "none"))
    options = parser.parse_args()

    model = OpenAILike(
        model="askfleet", api_base=f"{options.url}/v1", api_key=options.key, is_chat_model=True, max_retries=1
    )
    chunk = None
    for chunk in model.stream_chat([ChatMessage(role="user", content=options.question)]):
        print(chunk.delta or "", end="", flush=True)
    print()
    # The last chunk as it came: beside OpenAI's fields, what each [n] of the text stands for.
    last = getattr(chunk.raw, "model_extra", None) or {} if chunk is not None else {}
    for source in last.get("sources", []):
        print(f"[{source['number']}] {source['title']} {source['source']}")


if __name__ == "__main__":
    main()
