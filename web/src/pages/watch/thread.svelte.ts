import { createComment, deleteComment, listComments, listReplies, patchComment, rateComment } from '$/api/interactions';
import type { CommentSort } from '$/api/interactions';
import type { Comment, Rating } from '$/api/types';
import { PagedList } from '$/lib/paging.svelte';

const PAGE_SIZE = 20;

/** Comments of a film, or the replies to one of them. */
export class Thread extends PagedList<Comment> {
  constructor(
    private readonly video: string,
    sort: () => CommentSort,
    /** The comment that these answer. */
    private readonly parent?: string,
    /** One is gone for good. */
    private readonly onerase?: () => void,
  ) {
    super(
      (page) => (parent === undefined ? listComments(video, sort(), page) : listReplies(parent, page)),
      (comment) => comment.id,
      PAGE_SIZE,
    );
  }

  /** Says something: on top of comments, at the end of replies. */
  async post(text: string): Promise<Comment> {
    const comment = await createComment(this.video, text, this.parent);
    this.status = 'ready';
    if (this.parent === undefined) this.prepend(comment);
    else this.add([comment]);
    return comment;
  }

  async edit(comment: Comment, text: string): Promise<void> {
    this.replace(await patchComment(comment.id, text));
  }

  /** Takes one away; one with replies leaves its place. Says whether it is gone. */
  async erase(comment: Comment): Promise<boolean> {
    await deleteComment(comment.id);
    if (comment.replies > 0) {
      this.replace({ ...comment, author: undefined, text: '', deleted: true });
      return false;
    }
    this.remove(comment.id);
    this.onerase?.();
    return true;
  }

  /** Shows the rating at once, and takes it back when it is refused. */
  async rate(comment: Comment, rating: Rating): Promise<void> {
    const delta = Number(rating === 'like') - Number(comment.myRating === 'like');
    this.replace({ ...comment, myRating: rating, likes: Math.max(0, comment.likes + delta) });
    try {
      await rateComment(comment.id, rating);
    } catch (error) {
      this.replace(comment);
      throw error;
    }
  }
}
