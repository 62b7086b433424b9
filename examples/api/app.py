"""Postcards: an image, a sealed message, and a signature that anyone can check.

The database is asked for with the first request that needs it; without DATABASE_URL
(postgresql+asyncpg://…) all else works.
"""

import base64
import io
import os
from datetime import datetime
from typing import Annotated

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import Depends, FastAPI, File, HTTPException, Response
from PIL import Image, ImageDraw
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI(title="Postcards")
signer = Ed25519PrivateKey.generate()
safe = Fernet(os.environ.get("POSTCARD_KEY") or Fernet.generate_key())


class Base(DeclarativeBase):
    pass


class Row(Base):
    """A postcard as it is kept: nobody reads its message without the key."""

    __tablename__ = "postcard"

    id: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]
    written: Mapped[datetime] = mapped_column(server_default=func.now())


class Postcard(BaseModel):
    message: str = Field(min_length=1, max_length=200)


async def session():
    """The database, where there is one."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise HTTPException(503, "no database: set DATABASE_URL")
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with async_sessionmaker(engine)() as opened:
            yield opened
    finally:
        await engine.dispose()


Database = Annotated[AsyncSession, Depends(session)]


@app.get("/")
def hello():
    return {"hello": "from minke", "uid": os.getuid()}


@app.post("/postcards")
async def keep(postcard: Postcard, database: Database):
    row = Row(sealed=safe.encrypt(postcard.message.encode()))
    database.add(row)
    await database.commit()
    return {"id": row.id}


@app.get("/postcards")
async def read(database: Database):
    rows = await database.scalars(select(Row).order_by(Row.written))
    return [Postcard(message=safe.decrypt(row.sealed).decode()) for row in rows]


@app.post("/picture", response_class=Response)
def picture(postcard: Postcard):
    """The message as a PNG, signed."""
    image = Image.new("RGB", (480, 120), "navy")
    ImageDraw.Draw(image).text((16, 48), postcard.message, fill="white", font_size=20)
    png = io.BytesIO()
    image.save(png, "PNG")
    signature = base64.b64encode(signer.sign(png.getvalue())).decode()
    return Response(png.getvalue(), media_type="image/png", headers={"X-Signature": signature})


@app.post("/genuine")
def genuine(image: Annotated[bytes, File()], signature: str):
    """Whether an uploaded picture is one of ours."""
    try:
        signer.public_key().verify(base64.b64decode(signature), image)
    except (InvalidSignature, ValueError):
        return {"genuine": False}
    return {"genuine": True, "size": Image.open(io.BytesIO(image)).size}


@app.get("/health")
async def health():
    """Sends a postcard to itself, through its own front door, and checks what comes back."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://self.test") as client:
        drawn = await client.post("/picture", json={"message": "Wish you were here"})
        checked = await client.post(
            "/genuine", files={"image": drawn.content}, params={"signature": drawn.headers["X-Signature"]}
        )
    kept = safe.decrypt(safe.encrypt(b"There she blows")).decode()
    dialect = create_async_engine("postgresql+asyncpg://").dialect
    return {**checked.json(), "sealed": kept, "database": f"{dialect.name} by {dialect.driver}"}
